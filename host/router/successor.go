package router

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/flock"
	"github.com/go-shipper/shipper/host/router/socket"
)

const (
	startTimeout  = 20 * time.Second // for a router that starts while another one begins or ends
	startInterval = 50 * time.Millisecond
)

// errNotReached says that nobody answers where the baton's holder should.
var errNotReached = errors.New("the router that serves does not answer")

// start comes to hold the baton: at once where nobody has it, otherwise by a
// hand-over from who has.
func (r *Router) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errNotReached)
	defer cancel()
	for {
		baton, err := flock.Take(filepath.Join(r.env.Dir, batonName))
		switch {
		case err == nil:
			r.baton = baton
			return r.startAnew()
		case !errors.Is(err, flock.ErrHeld):
			return err
		}
		if err = r.succeed(ctx); !errors.Is(err, errNotReached) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(startInterval):
		}
	}
}

// startAnew restores what lasts.
func (r *Router) startAnew() error {
	routes, err := r.store.load()
	if err != nil {
		return err
	}
	r.restore(routes)
	r.bindMissing()
	r.started.Store(true)
	r.announce()
	return nil
}

// announce makes the router one that can be found. On a full disk it serves
// all the same: clients need no file.
func (r *Router) announce() {
	err := r.control.publish()
	if err != nil && !r.hidden {
		r.env.Log.Error("the control channel cannot be found", "err", err)
	}
	r.hidden = err != nil
}

// succeed takes everything over from the router that serves.
func (r *Router) succeed(ctx context.Context) error {
	dock, err := socket.OpenDock()
	if err != nil {
		return err
	}
	defer dock.Close()
	l, err := r.reachElder(ctx, dock.Name())
	if err != nil {
		return err
	}
	if err := r.inherit(l, dock); err != nil {
		l.close() // tells the elder, which goes on
		return fmt.Errorf("take over: %w", err)
	}
	return nil
}

// reachElder opens the link.
func (r *Router) reachElder(ctx context.Context, dock string) (*link, error) {
	to, err := NewClient(r.env.Dir).find()
	if err != nil {
		return nil, errors.Join(errNotReached, err)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", to.Address)
	if err != nil {
		return nil, errors.Join(errNotReached, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+to.Address+"/v1/handover?dock="+dock, nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	req.Header.Set("Authorization", "Bearer "+to.Token)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", handOverUpgrade)
	if err := errors.Join(conn.SetDeadline(time.Now().Add(linkTimeout)), req.Write(conn)); err != nil {
		return nil, errors.Join(errNotReached, err, conn.Close())
	}
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, req)
	if err != nil {
		return nil, errors.Join(errNotReached, err, conn.Close())
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		err := fmt.Errorf("the router that serves answers %s", res.Status)
		if res.StatusCode == http.StatusServiceUnavailable {
			err = errors.Join(errNotReached, err)
		}
		return nil, errors.Join(err, conn.Close())
	}
	return newLink(conn, in), conn.SetDeadline(time.Time{})
}

// inherit prepares everything, asks for the baton, and serves.
func (r *Router) inherit(l *link, dock *socket.Dock) error {
	m, err := l.receive(linkTimeout)
	switch {
	case err != nil:
		return err
	case m.Later:
		return errors.Join(errNotReached, errors.New(m.Refused))
	case m.Refused != "":
		return errors.New(m.Refused)
	case m.Offer == nil:
		return errNoSense
	}
	fronts, err := r.takeSockets(m.Offer, dock)
	if err != nil {
		return errors.Join(err, l.send(message{Refused: err.Error()}))
	}
	if err := r.takeOver(l, fronts); err != nil {
		for _, f := range fronts {
			f.close()
		}
		return err
	}
	return nil
}

// takeSockets takes every one, even after an error: they are ours already.
func (r *Router) takeSockets(o *offer, dock *socket.Dock) (map[string]*front, error) {
	fronts := map[string]*front{}
	var failed error
	for _, p := range o.Sockets {
		l, err := dock.Take(p.Data)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p.Listen, err))
			continue
		}
		fronts[p.Listen] = newFront(r.env, p.Listen, l)
	}
	if failed != nil {
		for _, f := range fronts {
			f.close()
		}
	}
	return fronts, failed
}

// takeOver is the moment in which nobody accepts. Until serving is sent an
// error ends this process and lets the elder go on.
func (r *Router) takeOver(l *link, fronts map[string]*front) error {
	asked := r.env.Now()
	if err := l.send(message{Take: true}); err != nil {
		return err
	}
	m, err := l.receive(linkTimeout)
	if err != nil {
		return err
	}
	if m.Final == nil {
		return errNoSense
	}
	baton, err := flock.Take(filepath.Join(r.env.Dir, batonName))
	if err != nil {
		return err
	}
	if err := r.control.publish(); err != nil {
		return errors.Join(err, baton.Close())
	}
	r.adopt(*m.Final, asked, fronts)
	r.mu.Lock()
	r.baton = baton
	r.elder = newElder(l)
	r.mu.Unlock()
	r.background.Go(func() { r.hear(r.elder) })
	r.env.Log.Info("took over from another router", "services", len(m.Final.Services))
	if err := l.send(message{Serving: true}); err != nil {
		r.env.Log.Warn("the router before is gone already", "err", err)
	}
	return nil
}

// adopt serves what the elder did.
func (r *Router) adopt(e estate, asked time.Time, fronts map[string]*front) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.generation = max(r.generation, e.Generation)
	for _, c := range e.Services {
		s := newService(c.Route.Service, c.Epoch, r.env)
		s.inherited.Store(&c.Counters)
		s.unpack(c, asked)
		r.services[s.name] = s
		if c.Ready {
			s.markReady()
		} else {
			r.background.Go(func() { s.probe(r.ctx) })
		}
	}
	for _, f := range fronts {
		r.open(f)
	}
	r.started.Store(true)
}

// elder is the router before, as long as it finishes requests.
type elder struct {
	link *link
	gone chan struct{}

	mu      sync.Mutex
	waiting map[slotOf][]chan struct{} // for a slot to be drained there
}

func newElder(l *link) *elder {
	return &elder{link: l, gone: make(chan struct{}), waiting: map[slotOf][]chan struct{}{}}
}

// hear takes what the elder tells until it ends.
func (r *Router) hear(e *elder) {
	stop := context.AfterFunc(r.ctx, e.link.close)
	defer stop()
	defer close(e.gone)
	defer e.link.close()
	for {
		m, err := e.link.receive(0)
		if err != nil {
			r.forgetInflight()
			return
		}
		if m.Drained != nil {
			e.drained(*m.Drained)
		}
		for name, sums := range m.Counts {
			r.mu.Lock()
			if s := r.services[name]; s != nil {
				s.inherited.Store(&sums)
			}
			r.mu.Unlock()
		}
	}
}

// forgetInflight: what an elder that is gone had in flight ended with it.
func (r *Router) forgetInflight() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.services {
		if sums := s.inherited.Load(); sums != nil {
			left := maps.Clone(*sums)
			for slot, c := range left {
				c.Inflight = 0
				left[slot] = c
			}
			s.inherited.Store(&left)
		}
	}
}

func (e *elder) drained(d slotOf) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ch := range e.waiting[d] {
		close(ch)
	}
	delete(e.waiting, d)
}

// tell says what changed; an elder that is gone needs it no more.
func (e *elder) tell(m message) {
	if e != nil {
		_ = e.link.send(m)
	}
}

// drain gives a slot no requests there either, and returns when none is left.
func (e *elder) drain(ctx context.Context, d slotOf) error {
	if e == nil {
		return nil
	}
	done := make(chan struct{})
	e.mu.Lock()
	e.waiting[d] = append(e.waiting[d], done)
	e.mu.Unlock()
	e.tell(message{Drain: &d})
	select {
	case <-done:
	case <-e.gone:
	case <-ctx.Done():
		return errors.Join(ErrUnavailable, context.Cause(ctx))
	}
	return nil
}

func (e *elder) isGone() bool {
	if e == nil {
		return true
	}
	select {
	case <-e.gone:
		return true
	default:
		return false
	}
}

func (r *Router) elderNow() *elder {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.elder
}

// mirror lets the elder's requests see a change too. The caller holds mu.
func (r *Router) mirror(s *service) {
	if !r.elder.isGone() {
		c := s.carry()
		r.elder.tell(message{Follow: &c})
	}
}

func (r *Router) self() Self {
	return Self{Name: r.env.Name, PID: os.Getpid(), Finishing: !r.elderNow().isGone()}
}
