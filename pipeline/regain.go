package pipeline

import (
	"context"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
)

// hold is what a host's session is to its run.
type hold struct {
	run, verb string
	fence     int64
	since     time.Time
	boot      string // the host's, when it gave the session
	pushing   bool   // so far a boot of the host ends nothing but the session
	parking   bool   // the session ends with that
}

// fenced is a call inside the session.
func (h *host) fenced(run string) rpc.Fenced {
	h.mu.Lock()
	defer h.mu.Unlock()
	return rpc.Fenced{Service: h.p.Target.Service.Name, Run: run, Fence: h.hold.fence}
}

// took books the session that a host gave.
func (h *host) took(run, verb string, fence int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hold = hold{run: run, verb: verb, fence: fence, since: h.p.Now(), boot: h.hello.Boot, pushing: h.hold.pushing}
}

// since tells when the host gave the session.
func (h *host) since() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hold.since
}

// holds tells whether the host gave a session.
func (h *host) holds() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hold.run != ""
}

// pushing says whether the run is still at the push on this host.
func (h *host) pushing(is bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hold.pushing = is
}

// park books that the host frees the session when it does what it is told.
func (h *host) park() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hold.parking = true
}

func (h *host) parks() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hold.parking
}

// regain takes the session again that a boot has ended. A boot ends leases,
// because nobody knows what else it ended; of a run that has only pushed it
// ended nothing. It tells whether there is a session of that run again.
func (h *host) regain(ctx context.Context, lost rpc.Fenced) bool {
	select {
	case h.regaining <- struct{}{}:
		defer func() { <-h.regaining }()
	case <-ctx.Done():
		return false
	}
	if h.fenced(lost.Run).Fence != lost.Fence {
		return true // somebody else was here before
	}
	if _, err := h.live(ctx); err != nil {
		return false
	}
	h.mu.Lock()
	had, boot := h.hold, h.hello.Boot
	h.mu.Unlock()
	if !had.pushing || had.run != lost.Run || had.boot == boot {
		return false
	}
	return h.acquire(ctx, had.run, had.verb) == nil
}

// inSession runs fn, and once more if a boot of the host had ended the session.
func (h *host) inSession(ctx context.Context, run string, fn func() error) error {
	before := h.fenced(run)
	err := fn()
	if rpc.CodeOf(err) == rpc.CodeFenced && h.regain(ctx, before) {
		return fn()
	}
	return err
}
