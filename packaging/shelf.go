package packaging

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// Shelf is where bundles lie: a folder, a release page, a bucket.
type Shelf interface {
	// List names the bundles there are of a service, in any order. What does
	// not look like one by its name (ParseName) is left out.
	List(ctx context.Context, service string) ([]Listed, error)
	// Open brings one here, if it is elsewhere, and verifies it as Open does.
	Open(ctx context.Context, l Listed) (*Bundle, error)
}

// Listed is a bundle as its name tells it; nothing of that is verified.
type Listed struct {
	Name    string // of the file, without folder
	Version string // semantic
	Short   string // first 12 characters of the release's digest
}

// FileName is how the bundle of a release is called: build metadata is joined
// by an underscore, because `+` is awkward in paths and addresses.
func FileName(service string, r release.Release) string { return service + "-" + r.Dir() + ".zip" }

// ParseName reads what FileName wrote.
func ParseName(service, name string) (Listed, bool) {
	rest, ok := strings.CutPrefix(name, service+"-")
	rest, zip := strings.CutSuffix(rest, ".zip")
	dash := strings.LastIndexByte(rest, '-')
	if !ok || !zip || dash < 0 {
		return Listed{}, false
	}
	l := Listed{Name: name, Version: strings.Replace(rest[:dash], "_", "+", 1), Short: rest[dash+1:]}
	if checkVersion(l.Version) != nil || len(l.Short) != 12 || strings.Trim(l.Short, "0123456789abcdef") != "" {
		return Listed{}, false
	}
	return l, true
}

// Select picks the bundle of the highest version that a constraint allows.
// Pre-releases, and builds without a tag with them, take part only where the
// constraint names a pre-release.
func Select(all []Listed, constraint string) (Listed, error) {
	c, err := readConstraint(constraint)
	if err != nil {
		return Listed{}, err
	}
	var best []Listed
	var top *semver.Version
	for _, l := range all {
		v, err := semver.StrictNewVersion(l.Version)
		if err != nil || !admits(c, constraint, v) {
			continue
		}
		if top == nil || v.GreaterThan(top) {
			best, top = nil, v
		}
		if v.Equal(top) {
			best = append(best, l)
		}
	}
	switch len(best) {
	case 0:
		return Listed{}, noneListed(all, constraint)
	case 1:
		return best[0], nil
	}
	return Listed{}, problem.New(problem.Usage, "name one with --bundle, or remove the others",
		"--release %s: more than one bundle has version %s: %s", constraint, top, names(best))
}

func readConstraint(constraint string) (*semver.Constraints, error) {
	c, err := semver.NewConstraint(constraint)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "read --release "+constraint, "write a version, or a range like ^1.4, ~1.4.2, >=1.4 <2")
	}
	return c, nil
}

// admits lets a constraint that names one version whole mean that version,
// build metadata included where it says some.
func admits(c *semver.Constraints, constraint string, v *semver.Version) bool {
	if exact, err := semver.StrictNewVersion(strings.TrimPrefix(constraint, "v")); err == nil && exact.Metadata() != "" {
		return exact.Equal(v) && exact.Metadata() == v.Metadata()
	}
	return c.Check(v)
}

func noneListed(all []Listed, constraint string) error {
	hint := "`shipper build` makes one"
	if len(all) > 0 {
		hint = "there are " + names(all) + "; pre-releases and untagged builds need a constraint that names one, like >=1.5.0-0"
	}
	return problem.New(problem.Usage, hint, "--release %s: no such bundle", constraint)
}

// maxNamed is how many bundles a message lists.
const maxNamed = 10

func names(all []Listed) string {
	var list []string
	for _, l := range all {
		list = append(list, l.Name)
	}
	slices.Sort(list)
	if len(list) > maxNamed {
		list = append(list[:maxNamed], "…")
	}
	return strings.Join(list, ", ")
}

// Folder is a shelf on this machine.
type Folder string

// List looks at names only.
func (f Folder) List(_ context.Context, service string) ([]Listed, error) {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "look for bundles", "`shipper build` makes one")
	}
	var all []Listed
	for _, e := range entries {
		if l, ok := ParseName(service, e.Name()); ok && e.Type().IsRegular() {
			all = append(all, l)
		}
	}
	return all, nil
}

// Open opens it where it is.
func (f Folder) Open(_ context.Context, l Listed) (*Bundle, error) {
	return Open(filepath.Join(string(f), filepath.Base(l.Name)))
}

// Take selects a bundle of a service on a shelf and opens it. What it holds
// must be what its name said.
func Take(ctx context.Context, s Shelf, service, constraint string) (*Bundle, error) {
	if _, err := readConstraint(constraint); err != nil { // before anything is asked
		return nil, err
	}
	all, err := s.List(ctx, service)
	if err != nil {
		return nil, err
	}
	l, err := Select(all, constraint)
	if err != nil {
		return nil, err
	}
	b, err := s.Open(ctx, l)
	if err != nil {
		return nil, err
	}
	if r := b.Release(); b.Manifest.Name != service || r.Version != l.Version || r.Digest.Short() != l.Short {
		b.Close()
		return nil, problem.New(problem.Verification, "fetch or build it again", "bundle %s holds %s %s", l.Name, b.Manifest.Name, r)
	}
	return b, nil
}
