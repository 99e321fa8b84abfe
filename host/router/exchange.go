package router

import (
	"time"

	"github.com/go-shipper/shipper/release"
)

// lot tells how a request came to its slot.
type lot int

const (
	given  lot = iota // nothing was drawn: there is one slot, or the client chose
	single            // drawn on its own
	stuck             // drawn for all requests of the client
)

// choice is a slot for a request, and how it came to that.
type choice struct {
	in     *instance // nil: there is none
	lot    lot
	weight release.Weight // by which it was drawn
	key    string         // by which the client sticks
	canary *instance      // of the draw
	shown  bool           // by its preview
	passed *instance      // the canary that would have been it, and is out of use
}

// exchange is a request on its way through the router.
type exchange struct {
	service *service
	choice
	client   uint64 // key of who asks
	fallback bool   // stable is asked because the canary did not answer
	ending   ending // of the instance that was asked last
}

// end counts an ending of the chosen instance, in all the ways in which it
// is counted.
func (x *exchange) end(a ending) {
	x.ending = a
	s, in := x.service, x.in
	now := s.env.Now()
	in.counters.add(a)
	in.outlier.note(a, in.age(now))
	m := seen
	if a.isFailed() {
		m |= seenFailed
	}
	if x.lot == stuck {
		m |= unitMarks(a)
	}
	fresh := s.clients.note(x.client, in.slot, m, now)
	if x.lot == single {
		fresh |= unitMarks(a)
	}
	in.counters.noteClient(fresh)
	if fresh&drawn != 0 {
		x.canary.counters.share.Add(int64(x.weight))
	}
}

// unitMarks are those of a unit of comparison that this ending is alone.
func unitMarks(a ending) marks {
	m := drawn
	if a.isFailed() {
		m |= drawnFailed
	}
	if a.isRefused() {
		m |= drawnRefused
	}
	return m
}

// noteClient counts what is new. As with requests, the whole comes first.
func (c *counters) noteClient(fresh marks) {
	for _, n := range []struct {
		mark marks
		sum  interface{ Add(int64) int64 }
	}{{seen, &c.clients}, {seenFailed, &c.clientErrors}, {drawn, &c.units}, {drawnFailed, &c.unitErrors}, {drawnRefused, &c.unit4xx}} {
		if fresh&n.mark != 0 {
			n.sum.Add(1)
		}
	}
}

// keyOf tells clients apart: by what they stick by, else by what the route
// names, else by their address.
func (s *service) keyOf(t *table, c client, value string) uint64 {
	if value == "" {
		value = c.cookieNamed(t.route.ClientKey.Cookie)
	}
	if value == "" {
		value = c.headerNamed(t.route.ClientKey.Header)
	}
	if value == "" {
		return s.clients.at(c.addr)
	}
	return s.clients.of(value)
}

// effective is the canary's share now: its weight while the lease holds, less
// while it warms up, nothing while it is out of use.
func (t *table) effective(now time.Time) release.Weight {
	if t.canary == nil || t.route.Weight == 0 || t.expired(now) || t.stable != nil && !t.canary.usable(now) {
		return 0
	}
	return t.canary.ramp(t.route.Weight, t.route.SlowStart, now)
}
