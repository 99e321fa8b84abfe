package packaging

import (
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
)

var snapshotShape = regexp.MustCompile(`^0\.0\.0-(\d{14})\.[0-9a-z]+$`)

// Backwards reports whether to is an older version than from: by semantic
// precedence, build metadata aside; builds without a tag among each other by
// the time of their commit. Between a tagged and an untagged one there is no
// order, nor is there one with a version that cannot be read.
func Backwards(from, to string) bool {
	wasSnapshot, isSnapshot := commitTime(from), commitTime(to)
	if wasSnapshot != "" || isSnapshot != "" {
		return wasSnapshot != "" && isSnapshot != "" && isSnapshot < wasSnapshot
	}
	was, err := semver.StrictNewVersion(from)
	if err != nil {
		return false
	}
	is, err := semver.StrictNewVersion(to)
	return err == nil && is.LessThan(was)
}

// commitTime is empty for a tagged version.
func commitTime(version string) string {
	version, _, _ = strings.Cut(version, "+")
	if m := snapshotShape.FindStringSubmatch(version); m != nil {
		return m[1]
	}
	return ""
}
