package router

import (
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// apply switches to a route. Instances that stay where they are are kept with
// their connections; the others drain by themselves. Only one apply at a time
// (Router.mu).
func (s *service) apply(route Route, generation uint64) {
	s.applyUntil(route, generation, s.env.Now().Add(route.Lease))
}

// applyUntil is apply with the end of the lease.
func (s *service) applyUntil(route Route, generation uint64, deadline time.Time) {
	old := s.table.Load()
	next := &table{
		route: route, generation: generation,
		deadline:  deadline,
		holdUntil: s.env.Now().Add(route.Hold),
		replaced:  make(chan struct{}),
		policy:    newPolicy(route),
		certs:     s.certificates(old, route),
		instances: map[release.Slot]*instance{},
	}
	for slot, addr := range route.Slots {
		next.instances[slot] = s.instance(old.instances[slot], slot, addr, route.Speak == rpc.SpeakH2C, slot == route.Stable || slot == route.Canary || slot == route.Shown)
	}
	next.stable, next.canary = next.instances[route.Stable], next.instances[route.Canary]
	next.shown = next.instances[route.Shown]
	s.attend(next)
	s.keepAccessLog(route.AccessLog)
	s.table.Store(next)
	close(old.replaced)
	for slot, in := range old.instances {
		if next.instances[slot] != in {
			in.drain(old.route.DrainTimeout)
		}
	}
}

// attend watches the instances of a table as its route says.
func (s *service) attend(t *table) {
	for slot, in := range t.instances {
		log := s.env.Log.With("service", s.name, "slot", slot)
		in.outlier.set(t.route.Outlier, log)
		in.grace.Store(int64(t.route.tunnelGrace()))
		in.watch(t.route.Health, in == t.stable || in == t.canary, s.env, log)
	}
	if t.canary != nil && t.route.Weight > 0 {
		t.canary.warm.CompareAndSwap(0, int64(t.canary.age(s.env.Now()))+1)
	}
}

// instance keeps the one there is, unless it moved, or drains and shall take
// requests again.
func (s *service) instance(old *instance, slot release.Slot, addr string, h2c, role bool) *instance {
	if old != nil && old.addr == addr && old.h2c == h2c && !(role && old.draining.Load()) {
		return old
	}
	in := newInstance(slot, addr, h2c, s.counters[slot], s.env)
	if c, ok := s.conditions[slot]; ok && old == nil {
		in.assume(c)
	}
	if old != nil {
		in.before = old.drained
	}
	return in
}

// view tells how things stand. Only under Router.mu.
func (s *service) view() View {
	t, now := s.table.Load(), s.env.Now()
	v := View{
		Route: t.route, Generation: t.generation, Epoch: s.epoch,
		Expired: t.expired(now), Inflight: map[release.Slot]int64{}, Out: map[release.Slot]string{},
		Ready: s.isReady(), Problem: s.problem, MetricsProblem: s.metricsProblem, PreviewProblem: s.previewProblem,
	}
	if t.certs != nil {
		v.Certificates = t.certs.Status()
	}
	switch {
	case v.Expired:
		v.Weight = 0
		v.Generation++
	case v.Weight > 0:
		v.Remaining = t.remaining(now)
	}
	if t.held(now) {
		v.Held, v.Waiting = t.holdUntil.Sub(now), s.pause.waiting.Load()
	}
	v.Effective = t.effective(now)
	for slot, in := range t.instances {
		if why := in.out(now); why != "" && (in == t.stable || in == t.canary) {
			v.Out[slot] = why
			v.FailOpen = v.FailOpen || in == t.stable
		}
	}
	inherited := s.inherited.Load()
	for _, slot := range release.Slots() {
		v.Inflight[slot] = s.counters[slot].inflight.Load() + (*inherited)[slot].Inflight
		if in := t.instances[slot]; in != nil && in.draining.Load() {
			v.Draining = append(v.Draining, slot)
		}
	}
	return v
}

// stop listens no more on f, which may be nil, lets the requests of the
// services behind it finish within their drain timeouts, and closes every
// connection to their instances.
func stop(f *front, behind []*service) {
	began := time.Now()
	for _, s := range behind {
		for _, in := range s.table.Load().instances {
			go in.conns.goodbye(time.Duration(in.grace.Load()), in.idle)
		}
	}
	if f != nil {
		f.drain(longestDrain(behind))
	}
	for _, s := range behind {
		t := s.table.Load()
		for _, in := range t.instances {
			in.drain(time.Until(began.Add(t.route.DrainTimeout))) // what is left are tunnels
		}
	}
	for _, s := range behind {
		for _, in := range s.table.Load().instances {
			<-in.drained
		}
		s.endAccessLog()
	}
}

func longestDrain(services []*service) (longest time.Duration) {
	for _, s := range services {
		longest = max(longest, s.table.Load().route.DrainTimeout)
	}
	return longest
}
