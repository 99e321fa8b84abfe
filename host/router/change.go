package router

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sort"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// put makes route the truth, in an order that a crash or an error at any
// point survives: check, take the address, write the state, then switch.
func (r *Router) put(ctx context.Context, route Route, match uint64) (View, error) {
	if err := route.Validate(); err != nil {
		return View{}, err
	}
	route = route.withDefaults()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.services[route.Service]
	if err := r.expect(s, match); err != nil {
		return View{}, err
	}
	if err := r.checkFree(route); err != nil {
		return View{}, err
	}
	if err := r.checkCertificates(s, route); err != nil {
		return View{}, err
	}
	if s == nil {
		s = newService(route.Service, rand.Text(), r.env)
		s.markReady()
	}
	front, err := r.bindNew(ctx, route.Listen)
	if err != nil {
		return View{}, err
	}
	if err := r.persist(s, route); err != nil {
		if front != nil {
			front.close()
		}
		return View{}, err
	}
	r.take(s, route, front)
	return s.view(), nil
}

// take switches to a route that is checked, bound and written.
func (r *Router) take(s *service, route Route, f *front) {
	r.services[route.Service] = s
	old := s.table.Load().route
	if old.Stable != route.Stable || old.Canary != route.Canary || old.Weight != route.Weight {
		r.env.Log.Info("route", "service", s.name, "listen", route.Listen,
			"stable", route.Stable, "canary", route.Canary, "weight", route.Weight, "lease", route.Lease)
	}
	s.apply(route, r.nextGeneration())
	r.mirror(s)
	r.keepMetrics()
	r.keepPreviews()
	if f != nil {
		r.open(f)
	} else {
		r.rewire(route.Listen)
	}
	if left := r.rewire(old.Listen); left != nil {
		r.background.Go(func() { left.drain(route.DrainTimeout) })
	}
}

// remove frees the address and ends the service.
func (r *Router) remove(ctx context.Context, name string, match uint64) error {
	s, f, err := r.forget(name, match)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	r.background.Go(func() {
		defer close(done)
		stop(f, []*service{s})
	})
	return wait(ctx, done)
}

func (r *Router) forget(name string, match uint64) (*service, *front, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.find(name)
	if err != nil {
		return nil, nil, err
	}
	if err := r.expect(s, match); err != nil {
		return nil, nil, err
	}
	if err := r.store.save(r.lasting(name, nil)); err != nil {
		return nil, nil, err
	}
	delete(r.services, name)
	r.keepMetrics()
	r.keepPreviews()
	r.elder.tell(message{Forget: name})
	return s, r.rewire(s.table.Load().route.Listen), nil
}

// drain takes a slot out of use and returns when nothing is connected to it.
func (r *Router) drain(ctx context.Context, name string, slot release.Slot, match uint64) (View, error) {
	s, drained, err := r.startDrain(name, slot, match)
	if err != nil {
		return View{}, err
	}
	if err := wait(ctx, drained); err != nil {
		return View{}, err
	}
	if err := r.elderNow().drain(ctx, slotOf{name, slot}); err != nil {
		return View{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return s.view(), nil
}

func (r *Router) startDrain(name string, slot release.Slot, match uint64) (*service, <-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.find(name)
	if err != nil {
		return nil, nil, err
	}
	if err := r.expect(s, match); err != nil {
		return nil, nil, err
	}
	t := s.table.Load()
	in := t.instances[slot]
	switch {
	case in == nil:
		return nil, nil, fmt.Errorf("%w: %s has no address for slot %q", ErrNotFound, name, slot)
	case in == t.stable:
		return nil, nil, fmt.Errorf("%w: slot %s of %s is stable", ErrConflict, slot, name)
	case in == t.canary || in == t.shown:
		route := t.route
		if route.Shown = ""; in == t.canary {
			route.Canary, route.Weight, route.Lease = "", 0, 0
		}
		s.apply(route, r.nextGeneration())
		r.mirror(s)
	}
	return s, in.drain(t.route.DrainTimeout), nil
}

func (r *Router) get(name string) (View, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.find(name)
	if err != nil {
		return View{}, err
	}
	return s.view(), nil
}

func (r *Router) list() []View {
	r.mu.Lock()
	defer r.mu.Unlock()
	views := make([]View, 0, len(r.services))
	for _, s := range r.services {
		views = append(views, s.view())
	}
	sort.Slice(views, func(i, j int) bool { return views[i].Service < views[j].Service })
	return views
}

func (r *Router) count(name string) (Counters, error) {
	r.mu.Lock()
	s, err := r.find(name)
	r.mu.Unlock()
	if err != nil {
		return Counters{}, err
	}
	c := Counters{Epoch: s.epoch, Slots: s.totals()}
	t, now := s.table.Load(), s.env.Now()
	for slot, in := range t.instances {
		if sums := c.Slots[slot]; in == t.stable || in == t.canary {
			sums.Out = in.out(now)
			c.Slots[slot] = sums
		}
	}
	return c, nil
}

func (r *Router) find(name string) (*service, error) {
	if s := r.services[name]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNotFound, name)
}

// expect refuses a change by who has not seen how things stand.
func (r *Router) expect(s *service, match uint64) error {
	if r.passing {
		return errMoved
	}
	if r.closed {
		return fmt.Errorf("%w: it stops", ErrUnavailable)
	}
	have := uint64(0)
	if s != nil {
		have = s.view().Generation
	}
	if have != match {
		return fmt.Errorf("%w: generation is %d, not %d", ErrStale, have, match)
	}
	return nil
}

func (r *Router) checkFree(route Route) error {
	for name, other := range r.services {
		there := other.table.Load().route
		if name == route.Service && there.Listen == route.Listen {
			continue
		}
		// The service's own old address too: it is served until the new one is.
		why := Collide(there, route)
		if why == "" {
			continue
		}
		return &problem.Error{
			What: "listen on " + route.Listen,
			Hint: "give " + route.Service + " a traffic.listen with another port, or hosts or a path of its own",
			Err:  fmt.Errorf("%w: service %s %s", ErrConflict, name, why),
		}
	}
	return nil
}

// bindNew takes the address unless it is served already; then it gives nil.
func (r *Router) bindNew(ctx context.Context, listen string) (*front, error) {
	if r.fronts[listen] != nil {
		return nil, nil
	}
	return bind(ctx, r.env, listen)
}

// persist writes the state if what outlives the router changes.
func (r *Router) persist(s *service, route Route) error {
	if s.table.Load().route.sameLasting(route) {
		return nil
	}
	return r.store.save(r.lasting(route.Service, &route))
}

// lasting lists all routes with the named one replaced, or left out.
func (r *Router) lasting(name string, instead *Route) []Route {
	routes := []Route{}
	for _, s := range r.services {
		if s.name != name {
			routes = append(routes, s.table.Load().route.lasting())
		}
	}
	if instead != nil {
		routes = append(routes, instead.lasting())
	}
	sort.Slice(routes, func(i, j int) bool { return routes[i].Service < routes[j].Service })
	return routes
}

func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.Join(ErrUnavailable, context.Cause(ctx))
	}
}
