package pipeline

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/go-shipper/shipper/delta"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/release"
)

const (
	minDelta   = 64 << 10  // smaller files travel as fast as they are
	maxContent = 512 << 20 // larger ones are not kept for later
	maxCompare = 3         // bases among which the most similar is sought
)

// errNoBase says that nothing that the host has is known here.
var errNoBase = errors.New("no base for a delta")

// difference is a content told by a base; zero if none of the bases is known.
type difference struct {
	base  release.Digest
	bytes []byte
}

// delta tells a content by the most similar of the bases that a host offers
// and that are known here. Hosts that offer the same share one delta.
func (p *Pipeline) delta(ctx context.Context, b *packaging.Bundle, f release.File, bases []rpc.Base, s *story) (difference, error) {
	if p.Plain || f.Size < minDelta || f.Size > delta.MaxSize {
		return difference{}, errNoBase
	}
	bases = likely(f, bases)
	if len(bases) == 0 {
		return difference{}, errNoBase
	}
	d, err := once(&p.enc, deltaKey(f, bases), func() (difference, error) { return p.difference(ctx, b, f, bases, s) })
	if err == nil && d.base == "" {
		err = errNoBase
	}
	return d, err
}

// likely are the bases worth a look: those at the same path, if there are any.
func likely(f release.File, bases []rpc.Base) []rpc.Base {
	same := slices.DeleteFunc(slices.Clone(bases), func(b rpc.Base) bool { return b.Path != f.Path })
	if len(same) > 0 {
		bases = same
	}
	return bases[:min(len(bases), maxCompare)]
}

func deltaKey(f release.File, bases []rpc.Base) string {
	key := []string{string(f.SHA256)}
	for _, b := range bases {
		key = append(key, string(b.Digest))
	}
	return strings.Join(key, "-")
}

func (p *Pipeline) difference(ctx context.Context, b *packaging.Bundle, f release.File, bases []rpc.Base, s *story) (difference, error) {
	p.enc.delta.Lock()
	defer p.enc.delta.Unlock()
	began := p.Now()
	for _, base := range bases {
		if d, ok := p.cache().load(deltaName(base.Digest, f.SHA256)); ok {
			return difference{base: base.Digest, bytes: d}, nil
		}
	}
	content, err := read(b, f)
	if err != nil {
		return difference{}, err
	}
	base, old := p.nearest(ctx, content, bases)
	if old == nil {
		return difference{}, nil
	}
	d, err := delta.Encode(ctx, old, content)
	if errors.Is(err, delta.ErrTooLarge) {
		return difference{}, nil
	}
	if err != nil {
		return difference{}, err
	}
	s.tell(journal.TypeDelta, "", journal.Delta{
		Path: f.Path, Base: base.Release, Bytes: int64(len(d)), Size: f.Size, Seconds: p.Now().Sub(began).Seconds(),
	})
	if err := p.cache().save(deltaName(base.Digest, f.SHA256), d); err != nil {
		s.note(journal.TypeLog, "", err.Error())
	}
	return difference{base: base.Digest, bytes: d}, nil
}

// nearest is the base that resembles content most, with its bytes. A single
// one needs no comparison.
func (p *Pipeline) nearest(ctx context.Context, content []byte, bases []rpc.Base) (rpc.Base, []byte) {
	var best rpc.Base
	var bytes []byte
	likeness := -1.0
	for _, b := range bases {
		old, ok := p.known(ctx, b)
		if !ok || len(old)+len(content) > delta.MaxSize {
			continue
		}
		if len(bases) == 1 {
			return b, old
		}
		if l := delta.Likeness(old, content); l > likeness {
			best, bytes, likeness = b, old, l
		}
	}
	return best, bytes
}

// known is the content of a base, from the cache or from the bundle that it
// came in, if that still lies in the folder of bundles.
func (p *Pipeline) known(ctx context.Context, b rpc.Base) ([]byte, bool) {
	if old, ok := p.cache().content(b.Digest); ok {
		return old, true
	}
	for _, folder := range slices.Compact([]string{p.enc.folder, p.Target.Build.Dist}) {
		if old, err := fromBundle(ctx, packaging.Folder(folder), p.Target.Service.Name, b); err == nil {
			return old, true
		}
	}
	return nil, false
}

func fromBundle(ctx context.Context, folder packaging.Folder, service string, b rpc.Base) ([]byte, error) {
	if folder == "" {
		return nil, errNoBase
	}
	all, err := folder.List(ctx, service)
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		if l.Version != b.Release.Version || l.Short != b.Release.Digest.Short() {
			continue
		}
		bundle, err := folder.Open(ctx, l)
		if err != nil {
			return nil, err
		}
		defer bundle.Close()
		return read(bundle, release.File{SHA256: b.Digest, Size: b.Size})
	}
	return nil, errNoBase
}

// doubt takes a delta that a host refused out of the way.
func (p *Pipeline) doubt(f release.File, bases []rpc.Base, base release.Digest) {
	p.enc.forget(deltaKey(f, likely(f, bases)))
	p.cache().drop(deltaName(base, f.SHA256))
}

// smallest says which way is shortest from here on: what arrived of one of
// them counts.
func smallest(parcels []parcel) parcel {
	return slices.MinFunc(parcels, func(a, b parcel) int { return cmp.Compare(a.left(), b.left()) })
}
