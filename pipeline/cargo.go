package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/release"
)

// cargo is what one host has to get of a release.
type cargo struct {
	h      *host
	run    string
	b      *packaging.Bundle
	s      *story
	files  []release.File
	whole  map[release.Digest]bool // contents of which the host refused a delta
	told   journal.Push
	pulled bool // the host was asked to fetch it itself
}

// parcel is a content in one of the forms in which it can travel.
type parcel struct {
	file     release.File
	encoding string
	base     release.Digest
	bytes    []byte
	offset   int64 // up to here the host has it
}

func (p parcel) left() int64 { return int64(len(p.bytes)) - p.offset }

// resumed goes on where a part of the same form ends.
func (p parcel) resumed(part rpc.Partial) parcel {
	if part.Encoding == p.encoding && part.Base == p.base && part.Encoded == int64(len(p.bytes)) {
		p.offset = min(part.Have, part.Encoded)
	}
	return p
}

// put sends what is missing, each content in the shortest form.
func (l *cargo) put(ctx context.Context, c *rpc.Client) error {
	have, err := c.Have(ctx, l.question())
	if err != nil {
		return err
	}
	for _, part := range have.Missing {
		p, err := l.parcel(ctx, part, have.Bases)
		if err != nil {
			return err
		}
		if err := l.send(ctx, c, p); err != nil {
			if p.encoding != rpc.EncodingDelta || !refusedDelta(err) {
				return err
			}
			if err := l.instead(ctx, c, p, have.Bases, err); err != nil {
				return err
			}
		} else if p.encoding == rpc.EncodingDelta {
			l.told.Deltas++
		}
		l.told.Sent++
	}
	return nil
}

func (l *cargo) question() rpc.Have {
	q := rpc.Have{Digests: digests(l.files)}
	if !l.h.p.Plain {
		q.Service, q.Paths = l.h.p.Target.Service.Name, paths(l.files)
	}
	return q
}

// parcel chooses how a content travels: as a delta where there is one and it
// is clearly smaller, else whole; what was begun goes on if that is less.
func (l *cargo) parcel(ctx context.Context, part rpc.Partial, bases []rpc.Base) (parcel, error) {
	i := slices.IndexFunc(l.files, func(f release.File) bool { return f.SHA256 == part.Digest })
	if i < 0 {
		return parcel{}, fmt.Errorf("the host misses content %s, which nobody named", part.Digest.Short())
	}
	f := l.files[i]
	var forms []parcel
	if !l.whole[f.SHA256] {
		d, err := l.h.p.delta(ctx, l.b, f, bases, l.s)
		if err == nil {
			forms = append(forms, parcel{file: f, encoding: rpc.EncodingDelta, base: d.base, bytes: d.bytes}.resumed(part))
		}
		if ctx.Err() != nil {
			return parcel{}, context.Cause(ctx)
		}
	}
	if len(forms) > 0 && part.Encoding != l.h.p.encoding() && forms[0].left() < f.Size/10 {
		return forms[0], nil
	}
	enc, err := l.h.p.encoded(l.b, f)
	if err != nil {
		return parcel{}, err
	}
	return smallest(append(forms, parcel{file: f, encoding: l.h.p.encoding(), bytes: enc}.resumed(part))), nil
}

// send sends one parcel. Where the host has less of it than it said, it gets
// it from the start.
func (l *cargo) send(ctx context.Context, c *rpc.Client, p parcel) error {
	err := l.sendFrom(ctx, c, p)
	if p.offset > 0 && rpc.CodeOf(err) == rpc.CodeConflict {
		p.offset = 0
		err = l.sendFrom(ctx, c, p)
	}
	return err
}

func (l *cargo) sendFrom(ctx context.Context, c *rpc.Client, p parcel) error {
	body := &counted{r: bytes.NewReader(p.bytes[p.offset:]), tick: func(n int64) {
		l.s.tell(journal.TypeProgress, l.h.Name, journal.Progress{What: "push", Done: p.offset + n, Total: int64(len(p.bytes))})
	}}
	give, err := l.h.p.bulk.take(ctx, p.left(), l.told.Bytes)
	if err != nil {
		return err
	}
	defer give()
	ctx, watch, done := watchParcel(ctx, p.file.Size)
	defer done()
	defer l.h.widen(ctx, c, p.left())()
	_, err = c.Put(ctx, rpc.Put{
		Service: l.h.p.Target.Service.Name, Run: l.run, Fence: l.h.fenced(l.run).Fence,
		Digest: p.file.SHA256, Size: p.file.Size, Encoded: int64(len(p.bytes)), Encoding: p.encoding, Offset: p.offset, Base: p.base,
	}, watch.over(body))
	l.told.Wire += body.n
	return err
}

// instead sends a content whole whose delta the host refused: its base may
// have gone or changed since the host read it.
func (l *cargo) instead(ctx context.Context, c *rpc.Client, p parcel, bases []rpc.Base, why error) error {
	l.s.note(journal.TypeWarning, l.h.Name, fmt.Sprintf("%s travels whole, the delta was of no use: %v", p.file.Path, why))
	l.whole[p.file.SHA256] = true
	if rpc.CodeOf(why) == rpc.CodeVerification {
		l.h.p.doubt(p.file, bases, p.base)
	}
	enc, err := l.h.p.encoded(l.b, p.file)
	if err != nil {
		return err
	}
	return l.send(ctx, c, parcel{file: p.file, encoding: l.h.p.encoding(), bytes: enc})
}

// refusedDelta tells an error of the delta from one of the wire, of the run or
// of the disk, which a whole content would meet as well.
func refusedDelta(err error) bool {
	var refused *rpc.Error
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Code {
	case rpc.CodeNotFound, rpc.CodeVerification, rpc.CodeUnsupported, rpc.CodeFailed:
		return true
	}
	return false
}
