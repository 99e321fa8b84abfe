package router

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	randv2 "math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-shipper/shipper/host/router/socket"
)

const (
	holdTimeout   = 30 * time.Second
	idleGrace     = 5 * time.Second
	probeInterval = 100 * time.Millisecond
	bindInterval  = 250 * time.Millisecond
	renewInterval = 30 * time.Second
)

// Options of a router. Only Dir is needed.
type Options struct {
	Name string           // among the routers of a folder; what Self tells
	Dir  string           // of state and control.json; exists, and is protected by the caller
	Log  *slog.Logger     // default: slog.Default()
	Now  func() time.Time // default: time.Now; monotonic, leases are timed by it
	Draw func(n int) int  // default: a fair draw of 0 … n-1; used by several goroutines
	// After tells when to check an instance again; default: time.After.
	After func(time.Duration) <-chan time.Time
	Renew time.Duration // how often certificates are looked at; default 30 s
	Hold  time.Duration // of requests before stable answers after a start; default 30 s
	// Listen and Dial are the network; default: the system's.
	Listen func(ctx context.Context, addr string) (socket.Source, error)
	Dial   func(ctx context.Context, addr string) (net.Conn, error)
	// IdleGrace is how long a client's idle connection outlives its address, for
	// one last request; default 5 s.
	IdleGrace time.Duration
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
	metrics    map[string]*metricsFront
	previews   map[string]*front // by service
	generation uint64
	closed     bool
	passing    bool            // another router takes over, or did: nothing is changed here
	baton      io.Closer       // who holds it accepts; nil: another router does
	elder      *elder          // the router before this one; nil: none
	successor  *link           // to the router after this one; nil: none
	started    atomic.Bool     // all that was there before is there
	hidden     bool            // the control file could not be written; only Run's goroutine asks
	left       chan struct{}   // closed once there is a successor
	ctx        context.Context // of Run: ends probes
	control    *controller
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
	if o.Renew == 0 {
		o.Renew = renewInterval
	}
	if o.Hold == 0 {
		o.Hold = holdTimeout
	}
	if o.IdleGrace == 0 {
		o.IdleGrace = idleGrace
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
		metrics:  map[string]*metricsFront{},
		previews: map[string]*front{},
		left:     make(chan struct{}),
		// Higher than any generation of an earlier start, so that nobody's
		// memory of one matches by chance.
		generation: uint64(time.Now().UnixMicro()),
	}
}

// Run takes over from the router that serves in the same folder, or if there
// is none restores the state, and serves until ctx ends or another router
// takes over; then it lets requests in flight finish, each within its route's
// drain timeout. It may be called once.
func (r *Router) Run(ctx context.Context) error {
	told := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.ctx = ctx
	var err error
	if r.control, err = openControl(ctx, r, cancel); err != nil {
		return fmt.Errorf("open the router's control channel: %w", err)
	}
	if err := r.start(ctx); err != nil {
		cancel(err)
		r.control.close(false)
		r.shutdown()
		if told.Err() != nil {
			return nil
		}
		return fmt.Errorf("start router: %w", err)
	}
	followed := r.keepServing(ctx)
	r.endSides()
	if followed {
		r.leave()
		r.control.close(false)
		return nil
	}
	r.announceEnd()
	r.control.close(true)
	r.shutdown()
	if told.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

// keepServing keeps addresses bound and certificates fresh, and reports
// whether a successor has them now.
func (r *Router) keepServing(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	var fresh sync.WaitGroup
	fresh.Go(func() { r.keepFresh(ctx) })
	defer fresh.Wait()
	defer cancel()
	return r.keepBound()
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
// were lost, as soon as they are free, and writes the control file as soon as
// there is room for it, until the router ends. It reports
// whether another router took over.
func (r *Router) keepBound() (followed bool) {
	tick := time.NewTicker(bindInterval)
	defer tick.Stop()
	for {
		select {
		case <-r.left:
			return true
		case <-r.ctx.Done():
			return false
		case <-tick.C:
			r.bindMissing()
			if r.hidden {
				r.announce()
			}
		}
	}
}

func (r *Router) bindMissing() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keepMetrics()
	r.keepPreviews()
	for _, s := range r.services {
		listen := s.table.Load().route.Listen
		if r.fronts[listen] != nil || r.closed || r.passing {
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
	r.mu.Lock()
	if f.leaving.Load() || r.passing { // it is given up, not lost
		r.mu.Unlock()
		return
	}
	r.env.Log.Error("public address is lost", "listen", f.listen, "err", err)
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
	baton := r.baton
	r.baton = nil
	r.mu.Unlock()
	r.background.Wait()
	if baton != nil {
		baton.Close()
	}
}

func (r *Router) nextGeneration() uint64 {
	r.generation += 2 // the one in between is the expiry of its lease
	return r.generation
}
