package release

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
)

// TargetsDigest is the digest of a release that is built for several targets
// ("windows/amd64" → ContentDigest of its files). Every architecture then
// runs the same release, and a host that holds the files of one target can
// still check it. With a single target it is that target's ContentDigest.
func TargetsDigest(targets map[string]Digest) Digest {
	names := slices.Sorted(maps.Keys(targets))
	if len(names) == 1 {
		return targets[names[0]]
	}
	h := sha256.New()
	for _, name := range names {
		fmt.Fprintf(h, "%s\x00%s\n", name, targets[name])
	}
	return Digest(hex.EncodeToString(h.Sum(nil)))
}

// Holds reports whether files are the contents of r for one of its targets.
// targets are the content digests of all of them; empty means that r has a
// single target.
func (r Release) Holds(files []File, targets map[string]Digest) bool {
	own := ContentDigest(files)
	if len(targets) == 0 {
		return own == r.Digest
	}
	return slices.Contains(slices.Collect(maps.Values(targets)), own) && TargetsDigest(targets) == r.Digest
}
