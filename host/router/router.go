package router

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"log/slog"
	randv2 "math/rand/v2"
	"net/http"
	"sync"
	"time"
)

const (
	holdTimeout   = 30 * time.Second
	probeInterval = 100 * time.Millisecond
	bindInterval  = 250 * time.Millisecond
)

// Options of a router. Only Dir is needed.
type Options struct {
	Dir  string           // of state and control.json; exists, and is protected by the caller
	Log  *slog.Logger     // default: slog.Default()
	Now  func() time.Time // default: time.Now; monotonic, leases are timed by it
	Draw func(n int) int  // default: a fair draw of 0 … n-1; used by several goroutines
	// After tells when to check an instance again; default: time.After.
	After func(time.Duration) <-chan time.Time
	Hold  time.Duration // of requests before stable answers after a start; default 30 s
}

// env is what every part of one router shares.
type env struct {
	Options
	errlog  *log.Logger
	buffers *bufferPool
}

// Router serves the public addresses of all services on a host.
type Router struct {
	env   *env
	store store

	mu         sync.Mutex // held by changes; the data path takes no lock
	services   map[string]*service
	fronts     map[string]*front // by their addresses
	generation uint64
	closed     bool
	ctx        context.Context // of Run: ends probes
	background sync.WaitGroup
}

// New makes a router that does nothing before Run.
func New(o Options) *Router {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Draw == nil {
		o.Draw = randv2.IntN
	}
	if o.After == nil {
		o.After = time.After
	}
	if o.Hold == 0 {
		o.Hold = holdTimeout
	}
	return &Router{
		env: &env{
			Options: o,
			errlog:  slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
			buffers: newBufferPool(),
		},
		store:    store{o.Dir, o.Log},
		services: map[string]*service{},
		fronts:   map[string]*front{},
		// Higher than any generation of an earlier start, so that nobody's
		// memory of one matches by chance.
		generation: uint64(time.Now().UnixMicro()),
	}
}

// Run restores the state, opens the control channel and serves until ctx
// ends; then it lets requests in flight finish, each within its route's drain
// timeout. It may be called once.
func (r *Router) Run(ctx context.Context) error {
	routes, err := r.store.load()
	if err != nil {
		return fmt.Errorf("start router: %w", err)
	}
	told := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.ctx = ctx
	r.restore(routes)
	r.bindMissing()
	c, err := openControl(ctx, r)
	if err != nil {
		cancel(err)
		r.shutdown()
		return fmt.Errorf("open the router's control channel: %w", err)
	}
	r.background.Go(func() {
		if err := c.server.Serve(c.listener); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("router control channel: %w", err))
		}
	})
	r.keepBound()
	c.close()
	r.shutdown()
	if told.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

// restore brings every route back with all its traffic on stable.
func (r *Router) restore(routes []Route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, route := range routes {
		s := newService(route.Service, rand.Text(), r.env)
		s.apply(route.lasting(), r.nextGeneration())
		r.services[route.Service] = s
		r.background.Go(func() { s.probe(r.ctx) })
	}
}

// keepBound takes public addresses that could not be had at the start, or
// were lost, as soon as they are free, until the router ends.
func (r *Router) keepBound() {
	tick := time.NewTicker(bindInterval)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
			r.bindMissing()
		}
	}
}

func (r *Router) bindMissing() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.services {
		listen := s.table.Load().route.Listen
		if r.fronts[listen] != nil || r.closed {
			continue
		}
		f, err := bind(r.ctx, r.env, listen)
		if err != nil {
			if s.problem == "" {
				r.env.Log.Error("public address is not served", "service", s.name, "err", err)
			}
			s.problem = err.Error()
			continue
		}
		r.open(f)
	}
}

// open serves a bound front. The caller holds mu.
func (r *Router) open(f *front) {
	r.fronts[f.listen] = f
	r.rewire(f.listen)
	r.background.Go(func() {
		if err := f.serve(); !errors.Is(err, http.ErrServerClosed) {
			r.lost(f, err)
		}
	})
}

// rewire tells the front of an address who is behind it now. If nobody is, it
// gives the front, which is the caller's to drain: what came in finds its
// service by the routes as they were. The caller holds mu.
func (r *Router) rewire(listen string) *front {
	f := r.fronts[listen]
	if f == nil {
		return nil
	}
	behind := r.behind(listen)
	if len(behind) == 0 {
		delete(r.fronts, listen)
		return f
	}
	for _, s := range behind {
		s.problem = ""
	}
	f.routes.Store(newRoutes(behind))
	return nil
}

// behind lists the services of an address. The caller holds mu.
func (r *Router) behind(listen string) []*service {
	var all []*service
	for _, s := range r.services {
		if s.table.Load().route.Listen == listen {
			all = append(all, s)
		}
	}
	return all
}

// lost lets keepBound look for the address again; requests that came in
// before finish.
func (r *Router) lost(f *front, err error) {
	r.env.Log.Error("public address is lost", "listen", f.listen, "err", err)
	r.mu.Lock()
	behind := r.behind(f.listen)
	if r.fronts[f.listen] == f {
		delete(r.fronts, f.listen)
		for _, s := range behind {
			s.problem = err.Error()
		}
	}
	r.mu.Unlock()
	f.drain(longestDrain(behind))
}

// shutdown drains all fronts and services at once and waits for everything
// it started.
func (r *Router) shutdown() {
	r.mu.Lock()
	r.closed = true
	listens := map[string]bool{}
	for _, s := range r.services {
		listens[s.table.Load().route.Listen] = true
	}
	for listen := range listens {
		f, behind := r.fronts[listen], r.behind(listen)
		r.background.Go(func() { stop(f, behind) })
	}
	r.mu.Unlock()
	r.background.Wait()
}

func (r *Router) nextGeneration() uint64 {
	r.generation += 2 // the one in between is the expiry of its lease
	return r.generation
}
