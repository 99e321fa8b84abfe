package simulate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
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
	dir    string
	layout host.Layout
	disk   *disk
	exe    string
	net    *network
	scm    *manager
	rng    *rand.Rand
	seer   *router.Client // of who checks promises
	seen   *ledger

	mu     sync.Mutex
	up     bool
	boots  int
	life   *life         // of the guard that runs
	since  time.Time     // when it was started
	wall   time.Duration // what the clock on the wall is wrong by
	writes int           // of state files until the crash; 0: none is planned
	late   bool          // that crash comes after the write
	full   time.Time     // until then the disk has no room
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
	wall time.Duration // what its clock is wrong by
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

func (l *life) now() time.Time { return clock{l.wall}.Now().Round(0) }

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
	h := &machine{world: w, name: name, dir: dir, layout: host.DefaultLayout(dir), exe: filepath.Join(dir, "shipper-host")}
	h.rng = rand.New(rand.NewPCG(w.seed, release16(name)))
	h.net = newNetwork(w, rand.New(rand.NewPCG(w.seed, release16(name)+1)))
	h.disk = newDisk(h, rand.New(rand.NewPCG(w.seed, release16(name)+3)))
	h.seen = newLedger()
	h.seer = router.NewClientOver(h.layout.Router(), h.net.dial)
	h.scm = newManager(h, rand.New(rand.NewPCG(w.seed, release16(name)+2)))
	if !w.plan.bare {
		return h, w.shop.furnish(h)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(h.exe, []byte("helper"), 0o700); err != nil {
		return nil, err
	}
	return h, nil
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
	boot := h.boots
	h.mu.Unlock()
	h.scm.boot()
	h.mu.Lock()
	still := h.up && h.boots == boot // the power may be gone again
	h.mu.Unlock()
	if still {
		h.startGuard()
	}
}

func (h *machine) startGuard() {
	h.mu.Lock()
	boot := fmt.Sprintf("boot-%d-%d", h.world.seed, h.boots)
	l := &life{over: make(chan struct{}), net: h.net, wall: h.wall}
	h.mu.Unlock()
	g, err := host.NewGuard(host.Options{
		Layout: h.layout, SCM: gate{h.scm, l}, Executable: h.exe, Version: "sim",
		Router:  gatedRouter{router.NewClientOver(h.layout.Router(), h.net.dial), l},
		Clock:   clock{l.wall},
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
	late, power, full := h.late, h.power, time.Now().Before(h.full)
	h.mu.Unlock()
	if full && filepath.Base(path) == "state.json" { // removing the other one needs no room
		return &os.PathError{Op: "write", Path: path, Err: syscall.ENOSPC}
	}
	if !now {
		err := write()
		if err == nil {
			h.observe(l, path)
		}
		return err
	}
	h.world.event("%s: crash at %s, after it %v, power %v", h.name, filepath.Base(path), late, power)
	var err error
	if late {
		if err = write(); err == nil {
			h.observe(l, path)
		}
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

// damage is a loss of power after which a file of some release is not what it
// was, though it had been flushed.
func (h *machine) damage(rng *rand.Rand, dark time.Duration) {
	found, _ := filepath.Glob(filepath.Join(h.layout.Programs, "services", service, "releases", "*", "orders"))
	h.powerCutWith(dark, func() {
		if len(found) == 0 {
			return
		}
		path := found[rng.IntN(len(found))]
		b, err := os.ReadFile(path)
		if err != nil || len(b) == 0 {
			return
		}
		h.world.event("%s: %s is damaged", h.name, filepath.Base(filepath.Dir(path)))
		switch rng.IntN(3) {
		case 0:
			b = b[:rng.IntN(len(b))]
		case 1:
			b[rng.IntN(len(b))] ^= 4
		default:
			clear(b[rng.IntN(len(b)):])
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			h.world.breaks("damage: %v", err)
		}
	})
}

func (h *machine) powerCut(dark time.Duration) { h.powerCutWith(dark, func() {}) }

func (h *machine) powerCutWith(dark time.Duration, meanwhile func()) {
	h.mu.Lock()
	was, l := h.up, h.life
	h.up, h.life = false, nil
	h.mu.Unlock()
	if !was {
		return
	}
	h.world.event("%s: power cut", h.name)
	h.disk.powerless()
	if l != nil {
		l.kill()
	}
	h.net.reset()
	h.scm.halt()
	if l != nil {
		<-l.over
	}
	h.disk.lose()
	h.seen.reread(h)
	meanwhile()
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
	return h.seer.Get(ctx, service)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
