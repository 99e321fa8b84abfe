package pipeline

import (
	"context"
	"fmt"
	"io"
	"time"
)

const (
	// stallTime is how long a parcel may stand still. A host that answers, but
	// whose guard takes nothing any more, would keep a run for ever.
	stallTime = time.Minute
	// slowestDisk is what a host writes, flushes and verifies in a second, at
	// least; while it does, after the last byte, nothing is heard of it.
	slowestDisk = 1 << 20
)

// stalled ends a parcel that stands still. The wire is given up then, and the
// push goes on over a new one from where the host is.
type stalled struct {
	limit time.Duration
	timer *time.Timer
}

// watchParcel gives a context that ends when nothing of a parcel, of size
// bytes when decoded, moved for too long.
func watchParcel(ctx context.Context, size int64) (context.Context, *stalled, context.CancelFunc) {
	limit := stallTime + time.Duration(size/slowestDisk)*time.Second
	ctx, cancel := context.WithCancelCause(ctx)
	s := &stalled{limit: limit}
	s.timer = time.AfterFunc(limit, func() { cancel(fmt.Errorf("nothing moved for %s", limit)) })
	return ctx, s, func() {
		s.timer.Stop()
		cancel(nil)
	}
}

// over is r, each read of which is a movement.
func (s *stalled) over(r io.Reader) io.Reader { return moving{r, s} }

type moving struct {
	io.Reader
	watch *stalled
}

func (m moving) Read(b []byte) (int, error) {
	m.watch.timer.Reset(m.watch.limit)
	return m.Reader.Read(b)
}
