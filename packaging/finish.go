package packaging

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/tc-hib/winres"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/packaging/authenticode"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// finish gives the executables for Windows their version resource and their
// signature. It works on copies: what a build tool made stays as it is.
func finish(ctx context.Context, req PackRequest, b *Build, scratch string) error {
	s := &signer{Sign: req.Sign, dir: scratch, name: req.Name, version: b.Version, time: b.Time, log: req.Log}
	for i := range b.Artifacts {
		a := &b.Artifacts[i]
		if a.GOOS != "windows" {
			continue
		}
		if err := stampArtifact(req, b, a, scratch); err != nil {
			return err
		}
		if req.Sign.IsZero() {
			continue
		}
		if err := signArtifact(ctx, s, a, scratch); err != nil {
			return err
		}
	}
	if why := s.varies(); why != "" {
		req.Warn(why)
	}
	return nil
}

// stampArtifact leaves prebuilt executables alone: they come as their makers
// wanted them.
func stampArtifact(req PackRequest, b *Build, a *Artifact, scratch string) error {
	if req.Build.Resource.Skip || b.Builder == FromPrebuilt {
		return nil
	}
	l := label{Resource: req.Build.Resource, file: executable(req.Binary, a.Target()), version: b.Version, time: b.Time}
	l.Product = cmp.Or(l.Product, req.Name)
	l.Description = cmp.Or(l.Description, req.Description, req.Name)
	l.Icon = inside(req.Dir, l.Icon)
	if req.Build.Resource.Icon == "" {
		l.Icon = ""
	}
	to := filepath.Join(scratch, "stamped", a.GOOS+"_"+a.GOARCH, l.file)
	err := os.MkdirAll(filepath.Dir(to), 0o755)
	if err == nil {
		err = stamp(a.Path, to, l)
	}
	switch {
	case errors.Is(err, winres.ErrSignedPE): // a hook of the build signed it
		req.Warn("the build signed " + l.file + " itself: it gets no version resource")
		return nil
	case err != nil:
		return problem.Wrap(problem.Failed, err, "add version and manifest to "+l.file, "correct build.resource, or set its skip: true")
	}
	return a.moved(to)
}

// moved makes the artifact the file at path.
func (a *Artifact) moved(path string) error {
	f, err := describe(path)
	a.Path, a.SHA256, a.Size = path, f.SHA256, f.Size
	return err
}

// signArtifact leaves alone what is signed already.
func signArtifact(ctx context.Context, s *signer, a *Artifact, scratch string) error {
	if _, err := signatureOf(a.Path); err == nil {
		s.log(filepath.Base(a.Path) + " is signed already")
		return nil
	} else if !errors.Is(err, authenticode.ErrUnsigned) {
		return problem.Wrap(problem.Failed, err, "look at "+filepath.Base(a.Path)+" before it is signed", "only whole executables of Windows can be signed")
	}
	to := filepath.Join(scratch, "signed", a.GOOS+"_"+a.GOARCH, filepath.Base(a.Path))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := copyFile(a.Path, to); err != nil {
		return err
	}
	unsigned := a.SHA256
	if err := s.sign(ctx, to); err != nil {
		return err
	}
	a.Unsigned = unsigned
	return a.moved(to)
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

// manifestOf lists what belongs into the bundle and where each entry of the
// archive comes from.
func manifestOf(req PackRequest, src Source, b *Build) (Manifest, map[string]string, error) {
	m := Manifest{Protocol: Protocol, Name: req.Name, Version: b.Version, Commit: b.Commit, Time: b.Time, Builder: FromSource}
	if b.Builder == FromPrebuilt {
		m.Builder = FromPrebuilt
	} else {
		m.Recipe = recipe(req, src)
	}
	sources := map[string]string{}
	for _, a := range b.Artifacts {
		exe := executable(req.Binary, a.Target())
		t := TargetManifest{GOOS: a.GOOS, GOARCH: a.GOARCH, Executable: exe, Unsigned: a.Unsigned,
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

// recipe is what a rebuild needs to know. Paths in it are relative, so that
// they mean the same in every clone.
func recipe(req PackRequest, src Source) *Recipe {
	r := &Recipe{
		Dir: src.Prefix, Binary: req.Binary, Package: cmp.Or(req.Build.Package, "."), Ldflags: cmp.Or(req.Build.Ldflags, defaultLdflags),
		Env: pinned, Resource: req.Build.Resource, Files: map[string]string{},
	}
	if req.Build.Goreleaser != "none" {
		r.Goreleaser = relative(req.Dir, req.Build.Goreleaser)
	}
	r.Resource.Icon = relative(req.Dir, r.Resource.Icon)
	r.Resource.Product = cmp.Or(r.Resource.Product, req.Name)
	r.Resource.Description = cmp.Or(r.Resource.Description, req.Description, req.Name)
	if r.Resource.Skip {
		r.Resource = config.Resource{Skip: true}
	}
	for _, ref := range req.Files {
		if !ref.Template {
			r.Files[releasePath(ref)] = relative(req.Dir, inside(req.Dir, ref.From))
		}
	}
	return r
}

// relative is empty for what does not lie in dir.
func relative(dir, path string) string {
	if path == "" {
		return ""
	}
	rel, err := filepath.Rel(dir, inside(dir, path))
	if err != nil || strings.HasPrefix(rel, "..") {
		return ""
	}
	return filepath.ToSlash(rel)
}

func releasePath(ref config.FileRef) string {
	return cmp.Or(ref.To, path.Base(filepath.ToSlash(ref.From)))
}

func travelling(dir string, ref config.FileRef) (release.File, string, error) {
	from := inside(dir, ref.From)
	f, err := describe(from)
	if err != nil {
		return f, "", problem.Wrap(problem.Usage, err, "read service.files", "correct `from`; folders cannot be named")
	}
	f.Path = releasePath(ref)
	return f, from, nil
}

// addSBOMs describes what is linked into each executable.
func addSBOMs(m *Manifest, b *Build, sources map[string]string, scratch string) error {
	for i := range m.Targets {
		t := &m.Targets[i]
		text, err := sbom(*m, *t, b.Artifacts[i].Path)
		if err != nil {
			return problem.Wrap(problem.Failed, err, "list what is in "+t.Executable, "")
		}
		f := release.File{Path: sbomName(*t), Size: int64(len(text)), SHA256: release.Of(text)}
		file := filepath.Join(scratch, fmt.Sprintf("sbom-%d.json", i))
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return problem.Wrap(problem.Failed, err, "write SBOM", "")
		}
		t.SBOM, sources[f.Path] = &f, file
	}
	return nil
}
