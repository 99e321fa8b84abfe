package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/release"
)

// machine is one host: the shipped guard and router on a simulated network
// and service manager, with a folder for its disk.
type machine struct {
	world  *world
	name   string
	layout host.Layout
	exe    string
	net    *network
	scm    *manager
	rng    *rand.Rand

	mu     sync.Mutex
	up     bool
	boots  int
	life   *life         // of the guard that runs
	since  time.Time     // when it was started
	wall   time.Duration // what the clock on the wall is wrong by
	writes int           // of state files until the crash; 0: none is planned
	late   bool          // that crash comes after the write
	power  bool          // and takes the power with it
}

// life is one run of the guard's process. What it does after its end does not
// happen.
type life struct {
	mu   sync.Mutex
	dead bool
	net  *network
	addr string // where it is reached
	stop context.CancelFunc
	over chan struct{}
}

var errDead = errors.New("the guard is dead")

func (l *life) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return errDead
	}
	return nil
}

func (l *life) kill() {
	l.mu.Lock()
	l.dead = true
	addr := l.addr
	l.mu.Unlock()
	l.net.resetTo(addr)
	l.stop()
}

func (l *life) reached(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addr = addr
}

func newMachine(w *world, name string) (*machine, error) {
	dir := filepath.Join(w.dir, name)
	h := &machine{world: w, name: name, layout: host.DefaultLayout(dir), exe: filepath.Join(dir, "shipper-host")}
	h.rng = rand.New(rand.NewPCG(w.seed, release16(name)))
	h.net = newNetwork(rand.New(rand.NewPCG(w.seed, release16(name)+1)))
	h.scm = newManager(h, rand.New(rand.NewPCG(w.seed, release16(name)+2)))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return h, os.WriteFile(h.exe, []byte("helper"), 0o700)
}

// release16 makes a number of a name.
func release16(name string) (n uint64) {
	for _, c := range name {
		n = n*31 + uint64(c)
	}
	return n * 1000
}

func (h *machine) isUp() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.up
}

// guarded tells whether a guard lives.
func (h *machine) guarded() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.life != nil && h.life.err() == nil
}

func (h *machine) guardSince() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.since
}

// start boots the host.
func (h *machine) start() {
	h.mu.Lock()
	h.up = true
	h.boots++
	h.mu.Unlock()
	h.scm.boot()
	h.startGuard()
}

func (h *machine) startGuard() {
	l := &life{over: make(chan struct{}), net: h.net}
	h.mu.Lock()
	boot := fmt.Sprintf("boot-%d", h.boots)
	wall := h.wall
	h.mu.Unlock()
	g, err := host.NewGuard(host.Options{
		Layout: h.layout, SCM: gate{h.scm, l}, Executable: h.exe, Version: "sim",
		Router:  gatedRouter{router.NewClientOver(h.layout.Router(), h.net.dial), l},
		Clock:   clock{wall},
		Machine: func() (string, error) { return "machine-" + h.name, nil },
		Boot:    func() (string, error) { return boot, nil },
		Sources: func() ([]string, error) { return nil, nil },
		Listen: func(ctx context.Context, addr string) (net.Listener, error) {
			if err := l.err(); err != nil {
				return nil, err
			}
			at, err := h.net.listen(ctx, addr)
			if err == nil {
				l.reached(at.Addr().String())
			}
			return at, err
		},
		Dial:  h.net.dial,
		Write: func(path string, write func() error) error { return h.write(l, path, write) },
		Log:   h.world.log(h.name),
	})
	if err != nil {
		h.world.breaks("%s: the guard does not start: %v", h.name, err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	h.mu.Lock()
	h.life, h.since = l, time.Now()
	h.mu.Unlock()
	go func() {
		defer close(l.over)
		if err := g.Run(ctx); err != nil && l.err() == nil {
			h.world.breaks("%s: guard: %v", h.name, err)
		}
	}()
}

// clock is right about durations, and about the time of day only if nobody
// set it wrongly.
type clock struct{ wrong time.Duration }

func (c clock) Now() time.Time { return time.Now().Add(c.wrong) }

func (c clock) At(t time.Time) <-chan time.Time { return time.After(time.Until(t.Add(-c.wrong))) }

// write lets a crash come between two writes.
func (h *machine) write(l *life, path string, write func() error) error {
	if err := l.err(); err != nil {
		return err
	}
	h.mu.Lock()
	now := false
	if h.writes > 0 {
		h.writes--
		now = h.writes == 0
	}
	late, power := h.late, h.power
	h.mu.Unlock()
	if !now {
		return write()
	}
	h.world.event("%s: crash at %s, after it %v, power %v", h.name, filepath.Base(path), late, power)
	var err error
	if late {
		err = write()
	}
	l.kill()
	go h.crashed(l, power)
	return errors.Join(err, errDead)
}

// crashed brings back what a crash ended.
func (h *machine) crashed(l *life, power bool) {
	if power {
		h.powerCut(2 * time.Second)
		return
	}
	h.restartGuard(l, time.Second)
}

func (h *machine) restartGuard(l *life, pause time.Duration) {
	l.kill()
	<-l.over
	time.Sleep(pause)
	h.mu.Lock()
	again := h.up && h.life == l
	if again {
		h.life = nil
	}
	h.mu.Unlock()
	if again {
		h.startGuard()
	}
}

// killGuard is what a crash of it, or an update, does.
func (h *machine) killGuard(pause, wall time.Duration) {
	h.mu.Lock()
	l := h.life
	h.wall += wall
	h.mu.Unlock()
	if l != nil {
		h.world.event("%s: the guard dies, the clock jumps by %v", h.name, wall)
		h.restartGuard(l, pause)
	}
}

func (h *machine) powerCut(dark time.Duration) {
	h.mu.Lock()
	was, l := h.up, h.life
	h.up, h.life = false, nil
	h.mu.Unlock()
	if !was {
		return
	}
	h.world.event("%s: power cut", h.name)
	if l != nil {
		l.kill()
	}
	h.net.reset()
	h.scm.halt()
	if l != nil {
		<-l.over
	}
	time.Sleep(dark)
	h.world.event("%s: boots", h.name)
	h.start()
}

// shut ends the host for good.
func (h *machine) shut() {
	h.mu.Lock()
	l := h.life
	h.up, h.life = false, nil
	h.mu.Unlock()
	if l != nil {
		l.kill()
		<-l.over
	}
	h.net.reset()
	h.scm.halt()
}

func (h *machine) startRouter(short string) (func(), error) {
	r := router.New(router.Options{
		Name: short, Dir: h.layout.Router(), Log: h.world.log(h.name), Listen: h.net.listen, Dial: h.net.dial,
		Draw: func(n int) int { h.mu.Lock(); defer h.mu.Unlock(); return h.rng.IntN(n) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		if err := r.Run(ctx); err != nil && ctx.Err() == nil {
			h.world.breaks("%s: router: %v", h.name, err)
		}
	}()
	return func() { cancel(); <-over }, nil
}

// Kinds of releases, by their version: 1.0.0 and whatever is not below is good.
const (
	deaf    = "1.1.1" // never listens
	sick    = "1.1.2" // fails its smoke check
	crashes = "1.1.3" // ends after a while
	errs    = "1.1.4" // half of its answers are 500
)

func program(version string) string { return "program of " + version }

// answers is what an instance of a version says.
func (h *machine) answers(version string) http.Handler {
	n := 0
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		odd := n%2 == 1
		mu.Unlock()
		switch {
		case r.URL.Path == "/healthz" && version == sick:
			w.WriteHeader(http.StatusInternalServerError)
		case r.URL.Path == "/healthz":
		case version == sick:
			h.world.breaks("%s: a client reached a release that failed its smoke check", h.name)
		case version == errs && odd:
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, version)
	})
}

const public = "127.0.0.1:8100"

// ask is a client of the service.
func (h *machine) ask(client int) (status int, version string, err error) {
	from := fmt.Sprintf("10.0.%d.%d:40000", client/250, client%250+1)
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		return h.net.dialFrom(ctx, addr, from, nil)
	}}
	res, err := (&http.Client{Transport: t, Timeout: 20 * time.Second}).Get("http://" + public + "/orders")
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, strings.TrimSpace(string(b)), err
}

// gate keeps a dead guard's hands off the service manager.
type gate struct {
	*manager
	life *life
}

func (g gate) Ensure(ctx context.Context, s scm.Spec) error {
	if err := g.life.err(); err != nil {
		return err
	}
	return g.manager.Ensure(ctx, s)
}

func (g gate) Start(ctx context.Context, name string) error {
	if err := g.life.err(); err != nil {
		return err
	}
	return g.manager.Start(ctx, name)
}

func (g gate) Stop(ctx context.Context, name string, d time.Duration) error {
	if err := g.life.err(); err != nil {
		return err
	}
	return g.manager.Stop(ctx, name, d)
}

// gatedRouter does the same for the router.
type gatedRouter struct {
	*router.Client
	life *life
}

func (g gatedRouter) Put(ctx context.Context, r router.Route, match uint64) (router.View, error) {
	if err := g.life.err(); err != nil {
		return router.View{}, err
	}
	return g.Client.Put(ctx, r, match)
}

func (g gatedRouter) Drain(ctx context.Context, service string, slot release.Slot) (router.View, error) {
	if err := g.life.err(); err != nil {
		return router.View{}, err
	}
	return g.Client.Drain(ctx, service, slot)
}

func (g gatedRouter) Counters(ctx context.Context, service string) (string, map[release.Slot]rpc.SlotCounters, error) {
	return g.Client.Counters(ctx, service)
}

// view is the route as the router holds it.
func (h *machine) view() (router.View, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return router.NewClientOver(h.layout.Router(), h.net.dial).Get(ctx, service)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
