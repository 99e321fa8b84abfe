package packaging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// RebuildRequest says which bundle is to be built again, and from where.
type RebuildRequest struct {
	Bundle string
	Source string // folder in a clone of the repository
	Tool   string // a goreleaser, if the one that is found does not serve
	Log    func(string)
}

// Rebuild builds a bundle's commit again, in a clone of its own, as the
// bundle's recipe says, and compares. It returns the manifest, or a problem
// of kind Verification that names the files which differ.
func Rebuild(ctx context.Context, req RebuildRequest) (Manifest, error) {
	b, err := Open(req.Bundle)
	if err != nil {
		return Manifest{}, err
	}
	defer b.Close()
	m := b.Manifest
	if err := rebuildable(m); err != nil {
		return m, err
	}
	scratch, err := os.MkdirTemp("", "shipper-rebuild-*")
	if err != nil {
		return m, problem.Wrap(problem.Failed, err, "build again", "")
	}
	defer os.RemoveAll(scratch)
	dir, err := checkout(ctx, req.Source, filepath.Join(scratch, "source"), m)
	if err != nil {
		return m, err
	}
	source, err := ReadSource(ctx, dir)
	if err != nil {
		return m, err
	}
	if source.Version != m.Version {
		return m, problem.New(problem.Verification, "`git fetch --tags`; if that does not help, a tag was moved or made up",
			"commit %.12s is called %s here, and %s by the bundle", m.Commit, source.Version, m.Version)
	}
	r := rebuild{req: req, b: b, dir: dir, scratch: scratch, source: source}
	return m, r.compare(ctx)
}

func rebuildable(m Manifest) error {
	switch {
	case m.Builder != FromSource || m.Recipe == nil || m.Commit == "":
		return problem.New(problem.Usage, "verify it where its executables were built", "build again: the executables of %s came from elsewhere (build.prebuilt)", Release(m))
	case strings.Contains(m.Version, "dirty"):
		return problem.New(problem.Verification, "deploy what was built from a commit", "build again: %s was built from a tree that differs from its commit", Release(m))
	}
	if err := m.harmless(); err != nil {
		return problem.Wrap(problem.Verification, err, "build "+Release(m).String()+" again", "look at manifest.json in the bundle; nothing was run")
	}
	return nil
}

var (
	commitShape    = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
	toolchainShape = regexp.MustCompile(`^go1\.\d{1,3}(\.\d{1,3}|rc\d{1,2})?$`)
	linkerWord     = regexp.MustCompile(`^(-s|-w|-X|-X=.+|-buildid=.*|-compressdwarf=(true|false)|-H=?windowsgui)$`)
)

// harmless says why a recipe may not be followed, or nil: a bundle from
// anywhere must not be able to run programs here. The linker has flags that
// do, go build has, and git.
func (m Manifest) harmless() error {
	r := m.Recipe
	switch {
	case !commitShape.MatchString(m.Commit):
		return fmt.Errorf("commit %.80q is none", m.Commit)
	case m.Toolchain != "" && !toolchainShape.MatchString(m.Toolchain):
		return fmt.Errorf("toolchain %.80q is none of Go's releases", m.Toolchain)
	case strings.HasPrefix(r.Package, "-"):
		return fmt.Errorf("package %.80q is none", r.Package)
	case r.Binary == "" || release.CheckPath(r.Binary) != nil || strings.Contains(r.Binary, "/"):
		return fmt.Errorf("executable %.80q cannot be a name", r.Binary)
	}
	for _, path := range []string{r.Dir, r.Goreleaser, r.Resource.Icon} {
		if path != "" && !filepath.IsLocal(filepath.FromSlash(path)) {
			return fmt.Errorf("path %.100q leaves the source", path)
		}
	}
	value := false
	for word := range strings.FieldsSeq(r.Ldflags) {
		if !value && !linkerWord.MatchString(word) {
			return fmt.Errorf("linker flag %.80q is not one that only changes bits", word)
		}
		value = !value && word == "-X"
	}
	return nil
}

// checkout clones the source without touching it, and returns the folder that
// was built.
func checkout(ctx context.Context, source, clone string, m Manifest) (string, error) {
	top, err := capture(ctx, source, nil, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return "", problem.Wrap(problem.Usage, err, "build again", "name a clone of the repository with --source")
	}
	if _, err := capture(ctx, source, nil, "git", "clone", "--quiet", "--shared", "--no-checkout", top, clone); err != nil {
		return "", problem.Wrap(problem.Failed, err, "clone "+top, "")
	}
	if _, err := capture(ctx, clone, nil, "git", "checkout", "--quiet", "--detach", m.Commit); err != nil {
		return "", problem.Wrap(problem.Usage, err, "check out commit "+m.Commit, "`git fetch` it, or name another clone with --source")
	}
	return filepath.Join(clone, filepath.FromSlash(m.Recipe.Dir)), nil
}

// rebuild is one such build.
type rebuild struct {
	req     RebuildRequest
	b       *Bundle
	dir     string
	scratch string
	source  Source
}

// compare tries the ways in which the bits may have been made. All give the
// same where they are set up alike; one that does is proof enough.
func (r rebuild) compare(ctx context.Context) error {
	differ, err := r.files()
	if err != nil {
		return err
	}
	recipe := r.b.Manifest.Recipe
	ways := []config.Build{{Goreleaser: "none", Package: recipe.Package, Ldflags: recipe.Ldflags}}
	if path, err := goreleaserConfig(r.dir, recipe.Goreleaser); err == nil && path != "" {
		ways = append(ways, config.Build{Goreleaser: recipe.Goreleaser, Tool: r.req.Tool})
	}
	var executables []string
	var failed error
	for _, way := range ways {
		others, err := r.build(ctx, way)
		if err == nil && len(others) == 0 {
			return r.verdict(differ)
		}
		executables, failed = append(executables, others...), errors.Join(failed, err)
	}
	if len(executables) == 0 { // no way got that far
		return failed
	}
	return r.verdict(append(differ, executables...))
}

func (r rebuild) verdict(differ []string) error {
	if len(differ) == 0 {
		return nil
	}
	slices.Sort(differ)
	return problem.New(problem.Verification, "do not deploy it; find out who built it, and with what",
		"commit %.12s does not give this bundle: %s", r.b.Manifest.Commit, strings.Join(slices.Compact(differ), ", "))
}

// files compares those that travel beside the executables.
func (r rebuild) files() ([]string, error) {
	var differ []string
	for _, t := range r.b.Manifest.Targets {
		for _, f := range t.Files {
			if f.Path == t.Executable {
				continue
			}
			from := r.b.Manifest.Recipe.Files[f.Path]
			if from == "" || !filepath.IsLocal(from) {
				differ = append(differ, entryName(t, f)+" (not from the source)")
				continue
			}
			got, err := describe(filepath.Join(r.dir, filepath.FromSlash(from)))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
			if got.SHA256 != f.SHA256 {
				differ = append(differ, entryName(t, f))
			}
		}
	}
	return differ, nil
}

// build makes the executables in one way and names those that differ.
func (r rebuild) build(ctx context.Context, way config.Build) ([]string, error) {
	m := r.b.Manifest
	builder, why, err := Choose(ctx, r.dir, way)
	if err != nil {
		return nil, err
	}
	r.req.Log("build again by " + why)
	way.Resource = m.Recipe.Resource
	req := PackRequest{Name: m.Name, Binary: m.Recipe.Binary, Dir: r.dir, Build: way, Log: r.req.Log}.withDefaults()
	scratch := filepath.Join(r.scratch, builder.Name())
	made, err := builder.Build(ctx, BuildRequest{
		Dir: r.dir, Binary: req.Binary, Package: way.Package, Ldflags: way.Ldflags,
		Targets: slices.Sorted(maps.Keys(m.TargetDigests())), Dist: scratch, Source: r.source, Toolchain: m.Toolchain, Log: req.Log,
	})
	if err != nil {
		return nil, err
	}
	if err := finish(ctx, req, made, scratch); err != nil {
		return nil, err
	}
	var differ []string
	for _, a := range made.Artifacts {
		t, err := r.b.Target(a.GOOS, a.GOARCH)
		if err != nil {
			return nil, err
		}
		same, err := r.same(ctx, t, a)
		if err != nil {
			return nil, err
		}
		if !same {
			differ = append(differ, entryName(t, executableOf(t)))
		}
	}
	return differ, nil
}

// same compares an executable with the one in the bundle, its signature
// aside: the manifest's word for what was signed is not enough, what was
// signed must be there.
func (r rebuild) same(ctx context.Context, t TargetManifest, a Artifact) (bool, error) {
	if t.Unsigned == "" || a.SHA256 != t.Unsigned {
		return a.SHA256 == executableOf(t).SHA256, nil
	}
	path, remove, err := r.b.extract(ctx, executableOf(t))
	if err != nil {
		return false, err
	}
	defer remove()
	shipped, err := peDigest(path)
	if err != nil {
		return false, fmt.Errorf("read %s of the bundle: %w", t.Executable, err)
	}
	built, err := peDigest(a.Path)
	return err == nil && bytes.Equal(shipped, built), err
}
