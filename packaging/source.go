package packaging

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/go-shipper/shipper/problem"
)

// Source is the commit that is built.
type Source struct {
	Version string // semantic, without v; +dirty if the tree differs from the commit
	Commit  string
	Time    time.Time // of the commit
	Tagged  bool
	Dirty   bool   // changed or untracked files
	Shallow bool   // a clone without history: tags may be missing
	Origin  bool   // a remote named origin is configured
	Prefix  string // of the folder inside its repository, slashes, empty at the top

	tags []string
}

// ReadSource asks git about the commit that dir has checked out. The version
// is the highest semantic tag of that commit (v1.2.3 or 1.2.3), without one
// `0.0.0-<commit time>.<first 7 of the commit>`.
func ReadSource(ctx context.Context, dir string) (Source, error) {
	var s Source
	git := func(args ...string) (string, error) { return capture(ctx, dir, nil, "git", args...) }
	head, err := git("log", "-1", "--no-show-signature", "--format=%H %ct")
	if err != nil {
		return s, noSource(err)
	}
	commit, seconds, _ := strings.Cut(head, " ")
	when, err := parseUnix(seconds)
	if err != nil {
		return s, noSource(err)
	}
	s.Commit, s.Time = commit, when
	tags, err := git("tag", "--points-at", "HEAD")
	if err != nil {
		return s, noSource(err)
	}
	changes, err := git("status", "--porcelain")
	if err != nil {
		return s, noSource(err)
	}
	s.Dirty = changes != ""
	shallow, err := git("rev-parse", "--is-shallow-repository")
	s.Shallow = err == nil && shallow == "true"
	_, err = git("config", "--get", "remote.origin.url")
	s.Origin = err == nil
	prefix, err := git("rev-parse", "--show-prefix")
	if err != nil {
		return s, noSource(err)
	}
	s.Prefix = strings.TrimSuffix(prefix, "/")
	s.tags = strings.Fields(tags)
	s.Version, s.Tagged = versionOf(s)
	return s, nil
}

func noSource(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return problem.Wrap(problem.Usage, err, "read version", "install git, or use build.prebuilt with executables that carry their version")
	}
	return problem.Wrap(problem.Usage, err, "read version from git",
		"the version comes from the commit or its tag: `git init`, commit the source, and `git tag v1.0.0`")
}

func versionOf(s Source) (version string, tagged bool) {
	best := highest(s.tags)
	version = s.Time.UTC().Format("0.0.0-20060102150405.") + numberSafe(s.Commit[:min(7, len(s.Commit))])
	if best != nil {
		version = best.String()
	}
	if s.Dirty {
		version = withMetadata(version, "dirty")
	}
	return version, best != nil
}

func highest(tags []string) *semver.Version {
	var best *semver.Version
	for _, tag := range tags {
		v, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
		if err == nil && (best == nil || v.GreaterThan(best)) {
			best = v
		}
	}
	return best
}

// numberSafe keeps a short commit such as 0123456 a valid identifier: semver
// forbids numbers with a leading zero.
func numberSafe(short string) string {
	if strings.HasPrefix(short, "0") && strings.Trim(short, "0123456789") == "" {
		return "g" + short
	}
	return short
}

func withMetadata(version, what string) string {
	if strings.Contains(version, "+") {
		return version + "." + what
	}
	return version + "+" + what
}
