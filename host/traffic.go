package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm/tree"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// embedded is the router that the guard drives; with another one, or none,
// there is no route here.
const embedded = "embedded"

// routerPatience is how long a router may think that answers at all: what
// waits for one that hangs would hold the service for ever.
const routerPatience = 10 * time.Second

// public is how clients reach the service now; on the owner.
func (s *service) public() rpc.TrafficConfig {
	if s.st.Stable == "" && s.st.Run.started() {
		return s.st.Run.Traffic
	}
	return s.st.Traffic
}

// route is what the router should do now; on the owner. Until the commit the
// public address is the committed one: configuration goes back as well.
func (s *service) route() (router.Route, bool) {
	config, run := s.public(), s.st.Run
	if config.Router != embedded {
		return router.Route{}, false
	}
	r := router.Route{
		Service: s.name, Listen: config.Listen, Slots: map[release.Slot]string{}, Stable: s.st.Stable,
		DrainTimeout: config.DrainTimeout, Boot: config.Boot, TunnelGrace: config.TunnelGrace, Public: config.Public, Watch: config.Watch,
	}
	if config.Mode != rpc.ModeTCP {
		if r.Hold = s.holdLeft(); r.Hold > 0 {
			r.HoldLimit = s.held.limit
		}
		r.Hold = max(r.Hold, s.gapLeft())
	}
	if s.inPlace() {
		r.Stable = run.Slot
	}
	for slot, rec := range s.st.Slots {
		r.Slots[slot] = fmt.Sprintf("127.0.0.1:%d", rec.Port)
	}
	if s.offers(config) && s.ses != nil && !s.undoing && !s.reverting {
		left := s.deadline.Sub(s.g.now())
		if left > 0 && run.Slot != r.Stable {
			// Another run draws others, so that nobody tries each release first.
			r.Canary, r.Weight, r.Lease, r.Salt = run.Slot, run.Weight, left, run.ID
		}
	}
	s.show(&r)
	return r, true
}

// show lets people look at the run's slot from its first shift, which may be
// to nothing, until it is committed or goes back, and while it is parked. The
// address is the run's: it is for looking before the commit.
func (s *service) show(r *router.Route) {
	run := s.st.Run
	if s.undoing || s.reverting || !run.running() && !run.parked() {
		return
	}
	r.Preview = run.Traffic.Preview
	if run.Phase != phaseStarted && run.Slot != r.Stable {
		r.Shown = run.Slot
	}
}

// offers reports whether clients may reach the run's slot: by its weight or,
// as soon as weights are set at all, because they choose it.
func (s *service) offers(config rpc.TrafficConfig) bool {
	run := s.st.Run
	chosen := config.Match.Header != "" || config.Match.Cookie != ""
	return run.running() && (run.Weight > 0 || chosen && run.Phase == phaseShifting)
}

// apply makes the router do what the state says, whatever it did before. Only
// one apply is under way per service, and each takes the newest state, so
// that the last one to end is right.
func (s *service) apply(ctx context.Context) (router.View, error) {
	select {
	case s.routing <- struct{}{}:
		defer func() { <-s.routing }()
	case <-ctx.Done():
		return router.View{}, context.Cause(ctx)
	}
	var want router.Route
	var managed bool
	var generation uint64
	err := s.do(ctx, func() error {
		want, managed = s.route()
		generation = s.generation
		if want.Lease > 0 {
			s.leased = s.g.now().Add(want.Lease)
		}
		return nil
	})
	if err != nil || !managed {
		return router.View{}, err
	}
	ctx, cancel := s.g.within(ctx, routerPatience)
	defer cancel()
	view, err := s.put(ctx, want, generation)
	if errors.Is(err, router.ErrConflict) || errors.Is(err, router.ErrInvalid) {
		return view, rpc.Errorf(rpc.CodeConflict,
			cmp.Or(problem.HintOf(err), "check traffic.listen: another program may hold the address"), "set the route of %s: %v", s.name, err)
	}
	if err != nil {
		return view, fmt.Errorf("set the route of %s: %w", s.name, err)
	}
	s.tell(func() { s.generation = view.Generation })
	return view, nil
}

// put writes the route over whichever is there: the guard is its only writer,
// but the router changes the generation too, when a lease runs out.
func (s *service) put(ctx context.Context, want router.Route, generation uint64) (router.View, error) {
	for tries := 0; ; tries++ {
		view, err := s.g.opts.Router.Put(ctx, want, generation)
		if !errors.Is(err, router.ErrStale) && !errors.Is(err, router.ErrNotFound) || tries == 3 {
			return view, err
		}
		now, err := s.g.opts.Router.Get(ctx, s.name)
		if err != nil && !errors.Is(err, router.ErrNotFound) {
			return view, err
		}
		generation = now.Generation
	}
}

// setTraffic gives the run's slot a weight for as long as the lease holds.
func (s *service) setTraffic(ctx context.Context, p rpc.SetTraffic) (rpc.Traffic, error) {
	if p.Weight < 0 || p.Weight > release.Full {
		return rpc.Traffic{}, rpc.Errorf(rpc.CodeFailed, "", "weight %d: want 0 to %d", p.Weight, release.Full)
	}
	var reply rpc.Traffic
	admit := func() error { return s.mayShift(p.Fenced) }
	err := s.work(ctx, order{name: "set traffic", admit: admit}, func(ctx context.Context) error {
		managed := true
		err := s.do(ctx, func() error {
			if err := s.mayShift(p.Fenced); err != nil {
				return err
			}
			_, managed = s.route()
			if s.st.Run.alone() {
				if p.Weight != 0 && p.Weight != release.Full {
					return rpc.Errorf(rpc.CodeConflict, "", "weight %s: stable is stopped, the run's slot has all requests or none", p.Weight)
				}
				if p.Weight == release.Full {
					s.held = holding{}
				}
			}
			return s.change(func(st *state) {
				st.Run.Weight = p.Weight
				if st.Run.Phase == phaseStarted {
					st.Run.Phase = phaseShifting
				}
			})
		})
		if err != nil {
			return err
		}
		view, err := s.apply(ctx)
		if err != nil {
			return err
		}
		if !managed { // nobody to ask: what the slots should get is all there is to say
			err := s.do(ctx, func() error { reply = s.intended(); return nil })
			return err
		}
		reply = traffic(view)
		return nil
	})
	if err != nil { // as in starts
		return rpc.Traffic{}, err
	}
	return reply, nil
}

// mayShift: only what was seen to run gets traffic.
func (s *service) mayShift(f rpc.Fenced) error {
	if err := s.holds(f); err != nil {
		return err
	}
	if r := s.st.Run; s.reverting || !r.running() || r.ID != f.Run {
		return rpc.Errorf(rpc.CodeConflict, "start the slot first", "run %s has no running slot%s", f.Run, s.ending(f.Run))
	}
	return nil
}

// intended is the traffic by the state alone.
func (s *service) intended() rpc.Traffic {
	t := rpc.Traffic{Weights: map[release.Slot]release.Weight{}}
	var canary release.Weight
	if r := s.st.Run; r.running() && r.Slot != s.st.Stable {
		canary = r.Weight
		t.Weights[r.Slot], t.Leased = canary, canary > 0
	}
	if s.st.Stable != "" {
		t.Weights[s.st.Stable] = release.Full - canary
	}
	return t
}

// traffic is a route as the protocol tells it.
func traffic(v router.View) rpc.Traffic {
	t := rpc.Traffic{
		Weights: map[release.Slot]release.Weight{}, Generation: v.Generation, Inflight: v.Inflight,
		Leased: v.Weight > 0 && !v.Expired, Held: v.Held,
	}
	for slot := range v.Slots {
		t.Weights[slot] = 0
	}
	canary := v.Weight
	if v.Expired || v.Canary == "" {
		canary = 0
	}
	if v.Canary != "" {
		t.Weights[v.Canary] = canary
	}
	if v.Stable != "" {
		t.Weights[v.Stable] += release.Full - canary
	}
	return t
}

// counters reads the router's totals and the state of both slots.
func (s *service) counters(ctx context.Context, usage bool) (rpc.Counters, error) {
	c := rpc.Counters{
		Slots: map[release.Slot]rpc.SlotCounters{}, Live: map[release.Slot]rpc.InstanceState{}, Usage: map[release.Slot]*rpc.Usage{},
	}
	var slots []release.Slot
	managed := false
	err := s.do(ctx, func() error {
		if s.broken != nil {
			return s.broken
		}
		for slot := range s.st.Slots {
			slots = append(slots, slot)
		}
		_, managed = s.route()
		return nil
	})
	if err != nil {
		return c, err
	}
	for _, slot := range slots {
		status, err := s.g.opts.SCM.Status(ctx, slot.Service(s.name))
		if err != nil {
			return c, err
		}
		c.Live[slot] = instance(status)
		if !usage || status.PID == 0 {
			continue
		}
		if used, err := tree.UsageOf(int(status.PID)); err == nil {
			c.Usage[slot] = (*rpc.Usage)(&used)
		}
	}
	c.At = s.g.now()
	if !managed {
		return c, nil
	}
	epoch, totals, err := s.g.opts.Router.Counters(ctx, s.name)
	if errors.Is(err, router.ErrNotFound) {
		return c, nil
	}
	if totals != nil {
		c.Epoch, c.Slots = epoch, totals
	}
	return c, err
}

// drain lets a slot's requests end; errors are for the log, because whoever
// drains stops the slot afterwards in any case.
func (s *service) drain(ctx context.Context, slot release.Slot) {
	var managed bool
	var r router.Route
	if s.do(ctx, func() error { r, managed = s.route(); return nil }) != nil || !managed {
		return
	}
	ctx, cancel := s.g.within(ctx, cmp.Or(r.DrainTimeout, router.DefaultDrain)+routerPatience)
	defer cancel()
	view, err := s.g.opts.Router.Drain(ctx, s.name, slot)
	if err != nil && !errors.Is(err, router.ErrNotFound) {
		s.log.Warn("slot was not drained", "slot", slot, "error", err)
		return
	}
	s.tell(func() { s.generation = max(s.generation, view.Generation) })
}

// backToStable tells the router until it hears, or until the weight it was
// given has run out by itself.
func (s *service) backToStable(ctx context.Context) error {
	var leased time.Time
	s.tell(func() { leased = s.leased })
	for {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := s.apply(try)
		cancel()
		if err == nil || ctx.Err() != nil || !s.g.now().Before(leased) {
			return err
		}
		s.log.Warn("the route is not back on stable yet", "error", err)
		if err := s.g.sleep(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
}
