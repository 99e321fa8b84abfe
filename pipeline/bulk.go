package pipeline

import (
	"context"
	"sync"
)

const (
	// bulky is a parcel that fills the wire: many at once would only take
	// memory from each other.
	bulky    = 1 << 20
	maxBulky = 4
)

// bulk lets a few large parcels travel at a time.
type bulk struct {
	once  sync.Once
	slots chan struct{}
}

// take waits for a slot where a parcel of n bytes needs one.
func (b *bulk) take(ctx context.Context, n int64) (give func(), err error) {
	if n < bulky {
		return func() {}, nil
	}
	b.once.Do(func() { b.slots = make(chan struct{}, maxBulky) })
	select {
	case b.slots <- struct{}{}:
		return func() { <-b.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
