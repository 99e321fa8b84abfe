package pipeline

import (
	"context"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/transport"
)

const (
	// farAway is from which delay on a stream waits longer than it sends.
	farAway = 3 * time.Millisecond
	// maxLanes keeps a host within the quotas of the oldest Windows: with what
	// the pipe and the lease have under way these are ten operations, in three
	// shells at most.
	maxLanes = 6
	// writesPerLane is how many messages a lane must carry to be worth its start.
	writesPerLane = 2
)

// way is how the controller talks to a host: one pipe, and lanes beside it.
type way struct {
	pipe transport.Pipe
	line string // what was started behind it
	wide bool   // lanes were added
}

// widen adds lanes for a content of that many bytes if the host is far away.
// They are made beside the push, which begins without them and goes on without
// those that the host refuses. stop ends the making.
func (h *host) widen(ctx context.Context, c *rpc.Client, bytes int64) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.client != c || h.way.wide || h.narrow || h.p.Single {
		return cancel
	}
	l, n := h.way.lanes(h.hello, bytes)
	n, give := h.p.bulk.widen(n)
	h.way.wide = n > 0
	for range n {
		go func(line string) {
			lane, err := l.Lane(ctx, line)
			if err == nil {
				_ = c.Lane(lane) // a connection that is over tells by itself
			}
		}(h.way.line)
	}
	return func() { cancel(); give() }
}

// lanes says how many are worth it.
func (w way) lanes(hello rpc.HelloReply, bytes int64) (transport.Laner, int) {
	l, ok := w.pipe.(transport.Laner)
	if !ok || l.Delay() < farAway {
		return nil, 0
	}
	return l, min(maxLanes, hello.Lanes, int(bytes/(writesPerLane*int64(w.pipe.MaxWrite())))-1)
}
