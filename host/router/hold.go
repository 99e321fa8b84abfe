package router

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// DefaultHoldLimit is how many requests wait if a route does not say it.
	DefaultHoldLimit = 10_000
	maxHold          = 10 * time.Minute

	// probeMemory is how long a load balancer that asked for the health path is
	// believed to ask again; notice is how long it is told that we end.
	probeMemory = 30 * time.Second
	notice      = 5 * time.Second
)

// pause is what a service's requests go through before they are drawn.
type pause struct {
	waiting atomic.Int64
	probed  atomic.Int64 // when the health path was asked for, in Unix nanoseconds
	ending  atomic.Bool  // the router ends, and nobody takes over
}

// held reports whether requests wait.
func (t *table) held(now time.Time) bool { return t.route.Hold > 0 && now.Before(t.holdUntil) }

// admit lets a request in: at once, when a hold of the route is over, or not
// at all. What an outer load balancer asks is answered while the others wait,
// so that it does not give up the whole host; and when the router ends it is
// told so first.
func (s *service) admit(w http.ResponseWriter, r *http.Request, v *visit) bool {
	t, now := s.table.Load(), s.env.Now()
	if path := t.route.Health.HTTP; path != "" && r.URL.Path == path {
		s.pause.probed.Store(now.UnixNano())
		switch {
		case s.pause.ending.Load():
			v.refuse(w, http.StatusServiceUnavailable, "this host is about to end")
			return false
		case t.held(now):
			v.refuse(w, http.StatusOK, "requests are held for a moment")
			return false
		}
	}
	if !t.held(now) {
		return true
	}
	if s.pause.waiting.Add(1) > int64(t.route.holdLimit()) || !s.awaitRelease(r.Context()) {
		s.pause.waiting.Add(-1)
		w.Header().Set("Retry-After", "5")
		v.refuse(w, http.StatusServiceUnavailable, "too many requests wait for the service")
		return false
	}
	s.pause.waiting.Add(-1)
	return true
}

// awaitRelease waits until no route holds any more: by another route, or by
// the end of the time. False: the client left.
func (s *service) awaitRelease(ctx context.Context) bool {
	for {
		t, now := s.table.Load(), s.env.Now()
		if !t.held(now) {
			return true
		}
		select {
		case <-t.replaced:
		case <-s.env.After(t.holdUntil.Sub(now)):
		case <-ctx.Done():
			return false
		}
	}
}

func (r Route) holdLimit() int {
	if r.HoldLimit == 0 {
		return DefaultHoldLimit
	}
	return r.HoldLimit
}

// announceEnd fails the health path for a moment, where a load balancer looks.
func (r *Router) announceEnd() {
	r.mu.Lock()
	asked := false
	for _, s := range r.services {
		s.pause.ending.Store(true)
		last := s.pause.probed.Load()
		asked = asked || last != 0 && r.env.Now().UnixNano()-last < int64(probeMemory)
	}
	r.mu.Unlock()
	if asked {
		r.env.Log.Info("the health path fails, then requests finish")
		<-r.env.After(notice)
	}
}
