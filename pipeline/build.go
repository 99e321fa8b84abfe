package pipeline

import (
	"context"
	"os"
	"path/filepath"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// Build makes a bundle of HEAD of dir in the folder out (default: the
// configuration's dist) and returns its path.
func (p *Pipeline) Build(ctx context.Context, dir, out string) (string, release.Release, error) {
	return p.build(ctx, dir, out, newStory("", p.Now, p.Emit))
}

func (p *Pipeline) build(ctx context.Context, dir, out string, s *story) (string, release.Release, error) {
	began := p.Now()
	s.tell(journal.TypeProgress, "", journal.Progress{What: "build", Done: 0, Total: int64(len(p.Target.Build.Targets))})
	path, m, b, err := packaging.Pack(ctx, p.packRequest(dir, out, s))
	if err != nil {
		return "", release.Release{}, stopped(ctx, asProblem(err, "build"))
	}
	told := journal.Build{
		Builder: b.Builder, Version: m.Version, Commit: m.Commit, Bundle: filepath.Base(path),
		Digest: m.Digest, Seconds: p.Now().Sub(began).Seconds(),
	}
	for _, a := range b.Artifacts {
		told.Targets = append(told.Targets, a.GOOS+"/"+a.GOARCH)
	}
	if info, err := os.Stat(path); err == nil {
		told.Bytes = info.Size()
	}
	s.tell(journal.TypeBuild, "", told)
	return path, release.Release{Version: m.Version, Digest: m.Digest}, nil
}

// Publish brings a bundle to the shelf, where others find it.
func (p *Pipeline) Publish(ctx context.Context, bundle string) error {
	store, ok := p.shelf().(packaging.Store)
	if !ok {
		return problem.New(problem.Usage, "name one under bundles in "+p.Target.Path, "push: there is no place to push to")
	}
	l, already, err := packaging.Push(ctx, store, bundle)
	if err == nil {
		newStory("", p.Now, p.Emit).tell(journal.TypeShelved, "", journal.Shelved{Bundle: l.Name, Already: already})
	}
	return stopped(ctx, err)
}

func asProblem(err error, what string) error {
	if problem.KindOf(err) != problem.Failed || problem.HintOf(err) != "" {
		return err
	}
	return problem.Wrap(problem.Failed, err, what, "")
}

func (p *Pipeline) packRequest(dir, out string, s *story) packaging.PackRequest {
	if dir == "" {
		dir = filepath.Dir(p.Target.Path)
	}
	if out == "" {
		out = p.Target.Build.Dist
	}
	return packaging.PackRequest{
		Name: p.Target.Service.Name, Binary: p.Target.Service.Binary, Description: p.Target.Service.Description, Dir: dir,
		Build: p.Target.Build, Sign: p.Target.Sign, Attest: p.Target.Attest, Files: p.Target.Service.Files, Out: out,
		Log:  func(line string) { s.tell(journal.TypeLog, "", journal.Note{Text: line}) },
		Warn: func(line string) { s.note(journal.TypeWarning, "", line) },
	}
}
