package release

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
)

// ContentDigest is the digest over a set of files: SHA-256 over one line
// `<path>\x00<size>\x00<sha256>\n` per file, sorted by path. It changes with
// any name, size or content and with nothing else.
func ContentDigest(files []File) Digest {
	sorted := slices.Clone(files)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Path < sorted[j].Path })
	sum := sha256.New()
	for _, f := range sorted {
		fmt.Fprintf(sum, "%s\x00%d\x00%s\n", f.Path, f.Size, f.SHA256)
	}
	return Digest(hex.EncodeToString(sum.Sum(nil)))
}
