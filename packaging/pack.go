package packaging

import (
	"context"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// defaultTargets are built where the configuration names none.
var defaultTargets = []string{"windows/amd64", "windows/arm64"}

// PackRequest says what to build and pack.
type PackRequest struct {
	Name   string // of the service
	Binary string // name of the executable, without .exe; default Name
	Dir    string // of shipper.yaml; the paths in Build and Files are relative to it
	Build  config.Build
	Files  []config.FileRef // those that are no templates travel in the bundle
	Out    string           // folder for the bundle, created if missing
	Log    func(line string)
}

// Pack builds HEAD of req.Dir and writes the bundle NAME-VERSION-DIGEST12.zip
// into req.Out. The same commit gives the same bundle.
func Pack(ctx context.Context, req PackRequest) (bundle string, m Manifest, b *Build, err error) {
	req = req.withDefaults()
	if req.Dir, err = filepath.Abs(req.Dir); err != nil {
		return "", m, nil, problem.Wrap(problem.Usage, err, "build", "")
	}
	scratch, err := os.MkdirTemp("", "shipper-build-*")
	if err != nil {
		return "", m, nil, problem.Wrap(problem.Failed, err, "build", "")
	}
	defer os.RemoveAll(scratch)
	if b, err = build(ctx, req, scratch); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", m, nil, err
	}
	m, sources, err := manifestOf(req, b)
	if err != nil {
		return "", m, b, err
	}
	contents := func(t TargetManifest, f release.File) (io.ReadCloser, error) {
		return os.Open(sources[entryName(t, f)])
	}
	if err = makeOut(req.Dir, req.Out); err == nil {
		bundle, m, err = writeFile(req.Out, m, contents)
	}
	if err != nil {
		return "", m, b, problem.Wrap(problem.Failed, err, "write bundle into "+req.Out, "")
	}
	return bundle, m, b, nil
}

// makeOut creates the folder for bundles. One inside the source hides itself
// from git: otherwise the first build would make the tree of the next dirty.
func makeOut(dir, out string) error {
	_, missing := os.Stat(out)
	if err := os.MkdirAll(out, 0o755); err != nil || missing == nil {
		return err
	}
	abs, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(dir, abs); err != nil || !filepath.IsLocal(rel) || rel == "." {
		return nil
	}
	return os.WriteFile(filepath.Join(out, ".gitignore"), []byte("*\n"), 0o644)
}

func (r PackRequest) withDefaults() PackRequest {
	if r.Binary == "" {
		r.Binary = r.Name
	}
	if len(r.Build.Targets) == 0 {
		r.Build.Targets = defaultTargets
	}
	if r.Log == nil {
		r.Log = func(string) {}
	}
	return r
}

func build(ctx context.Context, req PackRequest, scratch string) (*Build, error) {
	builder, why, err := Choose(ctx, req.Dir, req.Build)
	if err != nil {
		return nil, err
	}
	req.Log("build by " + why)
	br := BuildRequest{
		Dir: req.Dir, Binary: req.Binary, Package: req.Build.Package, Ldflags: req.Build.Ldflags,
		Targets: req.Build.Targets, Dist: scratch, Log: req.Log,
	}
	if br.Source, err = source(ctx, builder, br); err != nil {
		return nil, err
	}
	if br.Source.Shallow && !br.Source.Tagged {
		req.Log("the clone is shallow and has no tag for this commit: fetch the whole history (fetch-depth: 0), or tagged releases get the version " + br.Source.Version)
	}
	return builder.Build(ctx, br)
}

func source(ctx context.Context, b Builder, req BuildRequest) (Source, error) {
	if p, ok := b.(prebuilt); ok {
		return p.source(ctx, req)
	}
	return ReadSource(ctx, req.Dir)
}

// manifestOf lists what belongs into the bundle and where each entry of the
// archive comes from.
func manifestOf(req PackRequest, b *Build) (Manifest, map[string]string, error) {
	m := Manifest{Protocol: Protocol, Name: req.Name, Version: b.Version, Commit: b.Commit, Time: b.Time, Builder: b.Builder}
	sources := map[string]string{}
	for _, a := range b.Artifacts {
		exe := executable(req.Binary, a.Target())
		t := TargetManifest{GOOS: a.GOOS, GOARCH: a.GOARCH, Executable: exe,
			Files: []release.File{{Path: exe, Size: a.Size, SHA256: a.SHA256}}}
		sources[entryName(t, t.Files[0])] = a.Path
		for _, ref := range req.Files {
			if ref.Template {
				continue
			}
			f, from, err := travelling(req.Dir, ref)
			if err != nil {
				return m, nil, err
			}
			t.Files = append(t.Files, f)
			sources[entryName(t, f)] = from
		}
		if err := release.CheckPaths(t.Files); err != nil {
			return m, nil, problem.Wrap(problem.Usage, err, "read service.files", "give each file a `to` of its own inside the release")
		}
		m.Targets = append(m.Targets, t)
		m.Toolchain = toolchain(a.Path)
	}
	return m, sources, nil
}

func travelling(dir string, ref config.FileRef) (release.File, string, error) {
	from := inside(dir, ref.From)
	f, err := describe(from)
	if err != nil {
		return f, "", problem.Wrap(problem.Usage, err, "read service.files", "correct `from`; folders cannot be named")
	}
	f.Path = ref.To
	if f.Path == "" {
		f.Path = path.Base(filepath.ToSlash(ref.From))
	}
	return f, from, nil
}
