package packaging

import (
	"context"
	"debug/buildinfo"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/go-shipper/shipper/problem"
)

// prebuilt takes executables that another job built. For each target it looks
// for NAME_GOOS_GOARCH.exe, GOOS_GOARCH/NAME.exe and, if there is one target
// only, NAME.exe.
type prebuilt struct{ dir string }

func (prebuilt) Name() string { return "prebuilt" }

func (p prebuilt) Build(ctx context.Context, req BuildRequest) (*Build, error) {
	b := req.Source.build(FromPrebuilt)
	for _, target := range req.Targets {
		path, err := p.find(req, target)
		if err != nil {
			return nil, err
		}
		a, err := artifact(path, target)
		if err != nil {
			return nil, problem.Wrap(problem.Usage, err, "read build.prebuilt", "")
		}
		b.Artifacts = append(b.Artifacts, a)
	}
	return b, ctx.Err()
}

func (p prebuilt) find(req BuildRequest, target string) (string, error) {
	name, flat := executable(req.Binary, target), strings.ReplaceAll(target, "/", "_")
	candidates := []string{filepath.Join(flat, name), executable(req.Binary+"_"+flat, target)}
	if len(req.Targets) == 1 {
		candidates = append(candidates, name)
	}
	for _, c := range candidates {
		info, err := os.Stat(filepath.Join(p.dir, c))
		if err == nil && info.Mode().IsRegular() {
			return filepath.Join(p.dir, c), nil
		}
	}
	return "", problem.New(problem.Usage, "put it there, or leave "+target+" out of build.targets",
		"build.prebuilt: no executable for %s in %s: looked for %s", target, p.dir, strings.Join(candidates, ", "))
}

// sourceOf reads what Go stamped into an executable. ok is false if it holds
// no version that tells commits apart.
func sourceOf(path string) (s Source, ok bool) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return s, false
	}
	v, err := semver.StrictNewVersion(strings.TrimPrefix(info.Main.Version, "v"))
	if err != nil {
		return s, false
	}
	s.Version = v.String()
	for _, set := range info.Settings {
		switch set.Key {
		case "vcs.revision":
			s.Commit = set.Value
		case "vcs.time":
			s.Time, err = time.Parse(time.RFC3339, set.Value)
		case "vcs.modified":
			s.Dirty = set.Value == "true"
		}
	}
	return s, err == nil && s.Commit != ""
}

// source prefers the executable's own word over that of the folder shipper
// happens to run in. Where both speak of the same commit, its tags count: Go
// stamps none of v2 and later for a module whose path does not end in /v2.
func (p prebuilt) source(ctx context.Context, req BuildRequest) (Source, error) {
	path, err := p.find(req, req.Targets[0])
	if err != nil {
		return Source{}, err
	}
	stamped, ok := sourceOf(path)
	head, err := ReadSource(ctx, req.Dir)
	switch {
	case !ok:
		return head, err
	case err == nil && head.Commit == stamped.Commit:
		head.Dirty = stamped.Dirty
		head.Version, head.Tagged = versionOf(head)
		return head, nil
	}
	return stamped, nil
}
