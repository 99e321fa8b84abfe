package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// partName tells pieces of different encodings apart: they never mix. Deltas
// of one length against two bases are different encodings, too.
func (s *Store) partName(p rpc.Put) string {
	how := "raw"
	switch p.Encoding {
	case rpc.EncodingZstd:
		how = p.Encoding
	case rpc.EncodingDelta:
		how = p.Encoding + "-" + string(p.Base)
	}
	return fmt.Sprintf("%s.%s.%d.part", s.content(p.Digest), how, p.Encoded)
}

// partial is how much of d arrived before, and in which encoding.
func (s *Store) partial(d release.Digest) rpc.Partial {
	none := rpc.Partial{Digest: d}
	parts, _ := filepath.Glob(s.content(d) + ".*.part") // the pattern is well-formed
	if len(parts) != 1 {
		return none
	}
	info, err := os.Stat(parts[0])
	fields := strings.Split(filepath.Base(parts[0]), ".")
	if err != nil || len(fields) != 4 {
		return none
	}
	how, base, _ := strings.Cut(fields[1], "-")
	encoded, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return none
	}
	if how == "raw" {
		how = rpc.EncodingRaw
	}
	return rpc.Partial{Digest: d, Have: info.Size(), Encoding: how, Encoded: encoded, Base: release.Digest(base)}
}

func (s *Store) forgetParts(d release.Digest) {
	parts, _ := filepath.Glob(s.content(d) + ".*.part") // the pattern is well-formed
	for _, part := range parts {
		os.Remove(part)
	}
}
