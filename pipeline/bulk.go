package pipeline

import (
	"context"
	"runtime/debug"
	"sync"
)

const (
	// bulky is a parcel that fills the wire: many at once would only take
	// memory from each other.
	bulky    = 1 << 20
	maxBulky = 4
	// maxStreams is how many lanes all hosts together have at work: each keeps
	// two megabytes busy, and a dozen fill any wire.
	maxStreams = 6
	// fleetStreams are fewer, because several parcels travel beside each other
	// anyway.
	fleetStreams = 4
)

// bulk lets a few large parcels travel at a time.
type bulk struct {
	once  sync.Once
	slots chan struct{}

	mu    sync.Mutex
	lanes int   // at work
	users int   // parcels under way
	limit int64 // of memory, as it was before
}

// widen gives up to n lanes, as many as are left, until give.
func (b *bulk) widen(n int) (got int, give func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	most := maxStreams
	if b.users > 1 {
		most = fleetStreams
	}
	got = max(0, min(n, most-b.lanes))
	b.lanes += got
	return got, sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.lanes -= got
	})
}

// take waits for a slot where a parcel of n bytes, of a release of size bytes,
// needs one.
func (b *bulk) take(ctx context.Context, n, size int64) (give func(), err error) {
	if n < bulky {
		return func() {}, nil
	}
	b.once.Do(func() { b.slots = make(chan struct{}, maxBulky) })
	select {
	case b.slots <- struct{}{}:
		b.frugal(size)
		return func() { b.lavish(); <-b.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// frugalMemory is what a push to a hundred hosts needs beside the release.
const frugalMemory = 40 << 20

// frugal keeps the garbage of large parcels low: the buffers of hosts that
// come and go would otherwise be half as much again as what is in use.
func (b *bulk) frugal(size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.users++; b.users == 1 {
		b.limit = debug.SetMemoryLimit(-1)
		debug.SetMemoryLimit(min(b.limit, frugalMemory+2*size))
	}
}

func (b *bulk) lavish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.users--; b.users == 0 {
		debug.SetMemoryLimit(b.limit)
	}
}
