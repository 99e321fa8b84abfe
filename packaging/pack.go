package packaging

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// defaultTargets are built where the configuration names none.
var defaultTargets = []string{"windows/amd64", "windows/arm64"}

// PackRequest says what to build and pack.
type PackRequest struct {
	Name        string // of the service
	Binary      string // name of the executable, without .exe; default Name
	Description string // of the service
	Dir         string // of shipper.yaml; the paths in Build and Files are relative to it
	Build       config.Build
	Sign        config.Sign
	Attest      config.Attest
	Files       []config.FileRef // those that are not rendered travel in the bundle
	Out         string           // folder for the bundle, created if missing
	Log         func(line string)
	Warn        func(line string) // what a person should read; default Log
}

// Pack builds HEAD of req.Dir and writes the bundle NAME-VERSION-DIGEST12.zip
// into req.Out, with what other tools read of it beside. The order is: build,
// version resource, Authenticode, SBOM, bundle, digests. The same commit
// gives the same bundle.
func Pack(ctx context.Context, req PackRequest) (bundle string, m Manifest, b *Build, err error) {
	req = req.withDefaults()
	if req.Dir, err = filepath.Abs(req.Dir); err != nil {
		return "", m, nil, problem.Wrap(problem.Usage, err, "build", "")
	}
	v, err := newVoucher(req.Attest)
	if err != nil {
		return "", m, nil, err
	}
	scratch, err := os.MkdirTemp("", "shipper-build-*")
	if err != nil {
		return "", m, nil, problem.Wrap(problem.Failed, err, "build", "")
	}
	defer os.RemoveAll(scratch)
	b, m, sources, err := prepare(ctx, req, scratch)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", m, b, err
	}
	contents := func(t TargetManifest, f release.File) (io.ReadCloser, error) {
		if t.SBOM != nil && f == *t.SBOM {
			return os.Open(sources[f.Path])
		}
		return os.Open(sources[entryName(t, f)])
	}
	if err = makeOut(req.Dir, req.Out); err == nil {
		bundle, m, err = writeFile(req.Out, m, contents, v)
	}
	if err == nil {
		err = sidecars(bundle, m, sources, v)
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
	if r.Warn == nil {
		r.Warn = r.Log
	}
	return r
}

// prepare builds, finishes the executables and describes them. sources tells
// where each entry of the archive comes from.
func prepare(ctx context.Context, req PackRequest, scratch string) (b *Build, m Manifest, sources map[string]string, err error) {
	src, b, err := build(ctx, req, scratch)
	if err != nil {
		return b, m, nil, err
	}
	if err := finish(ctx, req, b, scratch); err != nil {
		return b, m, nil, err
	}
	if m, sources, err = manifestOf(req, src, b); err != nil {
		return b, m, nil, err
	}
	return b, m, sources, addSBOMs(&m, b, sources, scratch)
}

func build(ctx context.Context, req PackRequest, scratch string) (Source, *Build, error) {
	builder, why, err := Choose(ctx, req.Dir, req.Build)
	if err != nil {
		return Source{}, nil, err
	}
	req.Log("build by " + why)
	br := BuildRequest{
		Dir: req.Dir, Binary: req.Binary, Package: req.Build.Package, Ldflags: req.Build.Ldflags,
		Targets: req.Build.Targets, Dist: scratch, Log: req.Log,
	}
	if p, ok := builder.(prebuilt); ok {
		br.Source, err = p.source(ctx, br)
	} else if br.Source, err = ReadSource(ctx, req.Dir); err == nil {
		err = preflight(ctx, req, br.Source)
	}
	if err != nil {
		return br.Source, nil, err
	}
	b, err := builder.Build(ctx, br)
	return br.Source, b, err
}
