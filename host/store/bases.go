package store

import (
	"context"
	"encoding/hex"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

const (
	minBase  = 64 << 10 // smaller files travel as fast as they are
	maxBases = 4        // of one answer: each is read
)

// Bases offers files of a service's installed releases for deltas: those at
// the paths named, or, where a path changes with every version, those of the
// same kind; first of the releases in order. Each was read just now and is
// what its release says, so that damage is found before anything builds on it.
func (s *Store) Bases(ctx context.Context, service string, order []release.Release, paths []string) ([]rpc.Base, error) {
	installed, err := s.Releases(service)
	if err != nil {
		return nil, err
	}
	sort.SliceStable(installed, func(i, j int) bool { return rank(order, installed[i]) < rank(order, installed[j]) })
	found := collect(installed, func(f release.File) bool { return slices.Contains(paths, f.Path) })
	if len(found) == 0 {
		found = collect(installed, func(f release.File) bool {
			return slices.ContainsFunc(paths, func(p string) bool { return strings.EqualFold(path.Ext(p), path.Ext(f.Path)) })
		})
	}
	var out []rpc.Base
	for _, b := range found {
		file := filepath.Join(s.releases(service), b.dir, filepath.FromSlash(b.Path))
		n, sum, err := digest(ctx, file)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil || n != b.Size || release.Digest(hex.EncodeToString(sum)) != b.Digest {
			s.distrust(b.Digest, file)
			continue
		}
		if out = append(out, b.Base); len(out) == maxBases {
			break
		}
	}
	return out, nil
}

// offer is a base, and the folder of its release.
type offer struct {
	rpc.Base
	dir string
}

// collect lists the large files that fit, each content once.
func collect(installed []Manifest, fits func(release.File) bool) []offer {
	var out []offer
	seen := map[release.Digest]bool{}
	for _, m := range installed {
		for _, f := range m.Files {
			if f.Size >= minBase && fits(f) && !seen[f.SHA256] {
				seen[f.SHA256] = true
				out = append(out, offer{rpc.Base{Digest: f.SHA256, Size: f.Size, Path: f.Path, Release: m.Release}, m.Release.Dir()})
			}
		}
	}
	return out
}

// rank is a release's place in order; what is not in it comes last.
func rank(order []release.Release, m Manifest) int {
	if i := slices.Index(order, m.Release); i >= 0 {
		return i
	}
	return len(order)
}
