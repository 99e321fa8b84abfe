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
	h2c      bool                   // what it speaks
	kept     http.Handler           // over kept connections
	once     *httputil.ReverseProxy // over a connection for one request
	pool     interface{ CloseIdleConnections() }
	conns    *conns
	before   <-chan struct{} // closes when the one before in this slot is drained; or nil

	born    time.Time
	warm    atomic.Int64 // age when it had a weight first
	health  health
	outlier outlier

	told      atomic.Int64 // when a fallback to stable was logged last
	grace     atomic.Int64 // over which WebSockets are told to go, at a drain
	inflight  atomic.Int64
	draining  atomic.Bool
	idle      chan struct{} // closed when draining and nothing is in flight
	idleOnce  sync.Once
	drainOnce sync.Once
	drained   chan struct{}
}

func newInstance(slot release.Slot, addr string, h2c bool, c *counters, e *env) *instance {
	in := &instance{
		slot: slot, addr: addr, h2c: h2c, counters: c, now: e.Now, born: e.Now(),
		conns: newConns(addr, e),
		idle:  make(chan struct{}), drained: make(chan struct{}),
	}
	once := newPool(in.conns)
	once.DisableKeepAlives = true
	in.once = newProxy(addr, once, e)
	if h2c {
		both := speaker{h2: newH2C(in.conns), h1: newPool(in.conns)}
		in.kept, in.pool = newProxy(addr, both, e), both
		return in
	}
	d := newDirect(addr, in.conns, e)
	in.kept, in.pool = d, d
	return in
}

// newPool keeps connections to one instance. Answers are not unpacked.
func newPool(to *conns) *http.Transport {
	return &http.Transport{
		DialContext:            to.dial,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeader,
		ReadBufferSize:         bufferSize,
		WriteBufferSize:        bufferSize,
		DisableCompression:     true,
	}
}

// newH2C speaks HTTP/2 from the first byte.
func newH2C(to *conns) *http.Transport {
	pool := newPool(to)
	pool.Protocols = &http.Protocols{}
	pool.Protocols.SetUnencryptedHTTP2(true)
	return pool
}

// speaker speaks HTTP/2, but where a connection shall become another one's:
// that is HTTP/1.1.
type speaker struct{ h2, h1 *http.Transport }

// CloseIdleConnections is that of both.
func (s speaker) CloseIdleConnections() {
	s.h2.CloseIdleConnections()
	s.h1.CloseIdleConnections()
}

// RoundTrip implements http.RoundTripper.
func (s speaker) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return s.h1.RoundTrip(r)
	}
	return s.h2.RoundTrip(r)
}

func (in *instance) closeIdle() {
	in.pool.CloseIdleConnections()
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

// unclaim looks at the count again once it sees the drain: between the two,
// before the drain began, somebody may have claimed.
func (in *instance) unclaim() {
	if in.inflight.Add(-1) == 0 && in.draining.Load() && in.inflight.Load() == 0 {
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
	in.closeIdle()
	grace := time.Duration(in.grace.Load())
	go in.conns.goodbye(grace, in.idle)
	if !in.waitIdle(max(timeout, grace)) {
		in.conns.closeWrite()
		in.waitIdle(drainGrace)
	}
	in.conns.close()
	in.closeIdle()
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
