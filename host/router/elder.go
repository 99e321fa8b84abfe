package router

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/go-shipper/shipper/host/flock"
)

const (
	batonName     = "baton"
	batonInterval = 20 * time.Millisecond
	reclaimTime   = 2 * time.Second        // until a baton that another holds is believed lost
	countInterval = 200 * time.Millisecond // between two words of what requests came to
)

// errMoved is told to who asks a router that begins, or wants a change while or
// after another one takes over: the control file will soon name who serves.
var errMoved = fmt.Errorf("%w: one router takes over from another", ErrUnavailable)

// errNotNow is told to a successor that may ask again.
var errNotNow = errors.New("this router begins, ends, is being followed already, or the one before it still finishes requests")

// handOver gives everything to the successor at the other end of the link. If
// that fails, everything is as it was.
func (r *Router) handOver(l *link, dock string) error {
	if err := r.freeze(); err != nil {
		return errors.Join(err, l.send(message{Refused: err.Error(), Later: errors.Is(err, errNotNow)}))
	}
	if err := r.offer(l, dock); err != nil {
		r.thaw()
		return errors.Join(err, l.send(message{Refused: err.Error()}))
	}
	err := r.letGo(l)
	if err == nil {
		err = expectMessage(l, func(m message) bool { return m.Serving })
	}
	if err != nil && r.reclaim() {
		return err
	}
	r.env.Log.Info("another router took over", "err", err)
	r.followed(l)
	return nil
}

// freeze refuses changes from now on.
func (r *Router) freeze() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.passing || r.baton == nil || !r.elder.isGone() {
		return errNotNow
	}
	r.passing = true
	return nil
}

func (r *Router) thaw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passing = false
}

// offer shows everything and waits until the successor is prepared.
func (r *Router) offer(l *link, dock string) error {
	o := &offer{Protocol: handOverProtocol, Estate: r.estate()}
	for listen, f := range r.bound() {
		data, err := f.listener.Give(dock)
		if err != nil {
			return fmt.Errorf("give the socket of %s: %w", listen, err)
		}
		o.Sockets = append(o.Sockets, parcel{listen, data})
	}
	if err := l.send(message{Offer: o}); err != nil {
		return err
	}
	return expectMessage(l, func(m message) bool { return m.Take })
}

func expectMessage(l *link, ok func(message) bool) error {
	m, err := l.receive(linkTimeout)
	switch {
	case err != nil:
		return err
	case m.Refused != "":
		return errors.New(m.Refused)
	case !ok(m):
		return errNoSense
	}
	return nil
}

// letGo accepts no more and frees the baton.
func (r *Router) letGo(l *link) error {
	for listen, f := range r.bound() {
		if err := f.listener.Pause(); err != nil {
			return fmt.Errorf("pause %s: %w", listen, err)
		}
	}
	r.mu.Lock()
	err := r.baton.Close()
	r.baton = nil
	r.mu.Unlock()
	if err != nil {
		return err
	}
	e := r.estate()
	return l.send(message{Final: &e})
}

// reclaim takes the baton back from a successor that failed. It gives up when
// that one keeps it: then it serves, whatever became of the link.
func (r *Router) reclaim() bool {
	for end := time.Now().Add(reclaimTime); ; time.Sleep(batonInterval) {
		if r.resume() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

func (r *Router) resume() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.baton == nil {
		baton, err := flock.Take(filepath.Join(r.env.Dir, batonName))
		if err != nil {
			return false
		}
		r.baton = baton
	}
	if err := r.control.publish(); err != nil {
		r.env.Log.Error("control file is not mine again", "err", err)
	}
	for listen, f := range r.fronts {
		if err := f.listener.Resume(); err != nil {
			r.env.Log.Error("public address is not served again", "listen", listen, "err", err)
		}
	}
	r.passing = false
	return true
}

func (r *Router) hasLeft() bool {
	select {
	case <-r.left:
		return true
	default:
		return false
	}
}

// followed ends Run; what is in flight finishes.
func (r *Router) followed(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.successor = l
	close(r.left)
}

// estate packs everything.
func (r *Router) estate() estate {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := estate{Generation: r.generation, Services: []carried{}}
	for _, s := range r.services {
		e.Services = append(e.Services, s.carry())
	}
	return e
}

func (r *Router) bound() map[string]*front {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]*front{}
	for listen, f := range r.fronts {
		all[listen] = f
	}
	return all
}

// leave finishes what is in flight, by what the successor tells, and tells it
// what that came to.
func (r *Router) leave() {
	ctx, cancel := context.WithCancel(context.Background())
	told := make(chan struct{})
	go func() {
		defer close(told)
		r.tellCounts(ctx)
	}()
	go r.listenTo(r.successor)
	r.shutdown()
	cancel()
	<-told
	r.successor.close()
}

// tellCounts tells now and then, and once more at the end.
func (r *Router) tellCounts(ctx context.Context) {
	tick := time.NewTicker(countInterval)
	defer tick.Stop()
	for {
		ended := false
		select {
		case <-tick.C:
		case <-ctx.Done():
			ended = true
		}
		counts := map[string]slotSums{}
		r.mu.Lock()
		for name, s := range r.services {
			counts[name] = s.totals()
		}
		r.mu.Unlock()
		if err := r.successor.send(message{Counts: counts}); err != nil || ended {
			return
		}
	}
}

// listenTo does what the successor says, until one of the two ends.
func (r *Router) listenTo(l *link) {
	for {
		m, err := l.receive(0)
		if err != nil {
			return
		}
		switch {
		case m.Follow != nil:
			r.follow(*m.Follow)
		case m.Forget != "":
			r.follow(carried{Route: Route{Service: m.Forget}})
		case m.Drain != nil:
			go r.drainFor(l, *m.Drain)
		}
	}
}

// follow applies a change that the successor made: requests on kept
// connections still come in here. A service that is no more has an empty route.
func (r *Router) follow(c carried) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.services[c.Route.Service]
	if s == nil {
		s = newService(c.Route.Service, c.Epoch, r.env)
		s.markReady()
		r.services[s.name] = s
	}
	listen := s.table.Load().route.Listen
	s.unpack(c, r.env.Now())
	r.rewire(c.Route.Listen)
	if listen != c.Route.Listen && r.fronts[listen] != nil {
		r.fronts[listen].routes.Store(newRoutes(r.behind(listen)))
	}
}

func (r *Router) drainFor(l *link, d slotOf) {
	r.mu.Lock()
	s := r.services[d.Service]
	var in *instance
	if s != nil {
		in = s.table.Load().instances[d.Slot]
	}
	r.mu.Unlock()
	if in != nil {
		<-in.drain(s.table.Load().route.DrainTimeout)
	}
	_ = l.send(message{Drained: &d}) // the successor hears of an end by the link's too
}
