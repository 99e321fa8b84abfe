package router

import (
	"context"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-shipper/shipper/release"
)

const (
	headerTimeout = 2 * time.Minute  // until an instance begins to answer
	idleTimeout   = 10 * time.Second // of pooled connections: below any instance's own
	idlePerHost   = 256              // a small pool costs a port per request: Windows runs out of them
	maxHeader     = 256 << 10        // bytes of an answer's headers
	bufferSize    = 16 << 10         // of a backend connection, each way
	drainGrace    = 2 * time.Second  // between "no more" and the cut

	fallbackSilence = 10 * time.Second // between two words about the same
)

// instance is one run of a slot at one address. It has a transport of its
// own, so that draining it touches no other.
type instance struct {
	slot     release.Slot
	addr     string
	counters *counters
	now      func() time.Time
	proxy    *httputil.ReverseProxy
	pool     *http.Transport
	conns    *conns
	before   <-chan struct{} // closes when the one before in this slot is drained; or nil

	born    time.Time
	warm    atomic.Int64 // age when it had a weight first
	health  health
	outlier outlier

	told      atomic.Int64 // when a fallback to stable was logged last
	inflight  atomic.Int64
	draining  atomic.Bool
	idle      chan struct{} // closed when draining and nothing is in flight
	idleOnce  sync.Once
	drainOnce sync.Once
	drained   chan struct{}
}

func newInstance(slot release.Slot, addr string, c *counters, e *env) *instance {
	in := &instance{
		slot: slot, addr: addr, counters: c, now: e.Now, born: e.Now(),
		conns: newConns(addr),
		idle:  make(chan struct{}), drained: make(chan struct{}),
	}
	in.pool = &http.Transport{
		DialContext:            in.conns.dial,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeader,
		ReadBufferSize:         bufferSize,
		WriteBufferSize:        bufferSize,
		DisableCompression:     true,
	}
	in.proxy = newProxy(addr, in.pool, e)
	return in
}

// claim takes a request for the instance, unless it drains. The order (count,
// then look) and drain's (set, then look) leave no gap between them.
func (in *instance) claim() bool {
	in.inflight.Add(1)
	if in.draining.Load() {
		in.unclaim()
		return false
	}
	in.counters.inflight.Add(1)
	return true
}

// release ends a claimed request.
func (in *instance) release() {
	in.counters.inflight.Add(-1)
	in.unclaim()
}

func (in *instance) unclaim() {
	if in.inflight.Add(-1) == 0 && in.draining.Load() {
		in.markIdle()
	}
}

func (in *instance) markIdle() { in.idleOnce.Do(func() { close(in.idle) }) }

// drain takes no new requests, waits for those in flight up to timeout, tells
// the rest that no more will come, and after a grace cuts it. The channel
// closes when no connection to the instance is left. Calling it again joins.
func (in *instance) drain(timeout time.Duration) <-chan struct{} {
	in.drainOnce.Do(func() {
		in.draining.Store(true)
		in.health.endChecks()
		if in.inflight.Load() == 0 {
			in.markIdle()
		}
		go in.finish(timeout)
	})
	return in.drained
}

func (in *instance) finish(timeout time.Duration) {
	in.pool.CloseIdleConnections()
	if !in.waitIdle(timeout) {
		in.conns.closeWrite()
		in.waitIdle(drainGrace)
	}
	in.conns.close()
	in.pool.CloseIdleConnections()
	if in.before != nil {
		<-in.before
	}
	close(in.drained)
}

func (in *instance) waitIdle(timeout time.Duration) bool {
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-in.idle:
		return true
	case <-t.C:
		return false
	}
}

// answers tries a TCP connect.
func (in *instance) answers(ctx context.Context) bool {
	c, err := in.conns.dial(ctx, "", "")
	if err != nil {
		return false
	}
	c.Close()
	return true
}
