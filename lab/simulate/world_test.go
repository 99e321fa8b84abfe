package simulate

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

const (
	service = "orders"
	lease   = 10 * time.Second
	first   = "1.0.0"
	next    = "1.1.0"
	third   = "1.2.0"
)

// world is everything that one seed makes.
type world struct {
	seed  uint64
	dir   string
	shop  *workshop
	plan  scenario
	hosts []*machine
	began time.Time
	logTo io.Writer
	trace io.Writer // all that counts into the sum; nil: nobody reads it

	mu      sync.Mutex
	story   []string
	sum     uint64 // of all events and messages, in whichever order those of one instant are
	broken  error
	all     []*controller
	main    *controller
	rival   *controller
	served  int
	failed  []string
	stopped bool
	wrecked bool // it did not end: none can live after it
}

func newWorld(seed uint64, shop *workshop, plan scenario) (*world, error) {
	w := &world{seed: seed, dir: shop.world(), shop: shop, plan: plan, began: time.Now()}
	for i := range w.plan.hosts {
		h, err := newMachine(w, fmt.Sprintf("web%d", i+1))
		if err != nil {
			return nil, err
		}
		w.hosts = append(w.hosts, h)
	}
	return w, nil
}

// breaks remembers the first promise that was broken.
func (w *world) breaks(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	w.event("BROKEN %v", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		w.broken = err
	}
}

func (w *world) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken
}

func (w *world) event(format string, args ...any) {
	if !telling() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	line := fmt.Sprintf("%9.4f ", time.Since(w.began).Seconds()) + fmt.Sprintf(format, args...)
	line = strings.ReplaceAll(line, w.dir, "disk") // another one in each process
	w.story = append(w.story, line)
	w.counts(line)
}

// carried counts a message into the sum of the story.
func (w *world) carried(from, to string, at time.Time, b []byte) {
	if !telling() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts(fmt.Sprintf("%d %s %s %d", at.Sub(w.began), from, to, len(b)))
}

// counts adds to the sum of the world.
func (w *world) counts(line string) {
	h := fnv.New64a()
	io.WriteString(h, line)
	w.sum += h.Sum64()
	if w.trace != nil {
		fmt.Fprintln(w.trace, time.Since(w.began), line)
	}
}

func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.story, "\n")
}

// after does something later, unless the world ended before.
func (w *world) after(d time.Duration, f func()) {
	time.AfterFunc(d, func() {
		w.mu.Lock()
		over := w.stopped
		w.mu.Unlock()
		if !over {
			f()
		}
	})
}

func (w *world) log(name string) *slog.Logger {
	if w.logTo == nil {
		return quiet()
	}
	return slog.New(slog.NewTextHandler(w.logTo, &slog.HandlerOptions{Level: slog.LevelInfo})).With("host", name)
}

func (w *world) host(name string) *machine {
	for _, h := range w.hosts {
		if h.name == name {
			return h
		}
	}
	return nil
}

// target is what shipper.yaml would say.
func (w *world) target() config.Target {
	percent := func(p int) *release.Weight { v := release.Weight(p * 100); return &v }
	pause := 4 * time.Second
	t := config.Target{
		Path: "shipper.yaml", Environment: "sim",
		Service: config.Service{
			Name: service, Mode: "native", StopTimeout: 5 * time.Second, StartTimeout: 8 * time.Second,
			Recovery: []time.Duration{time.Second, 2 * time.Second},
			Ports:    config.Ports{Blue: 8101, Green: 8102},
		},
		Checks:    []config.Check{{HTTP: "/healthz", Interval: 500 * time.Millisecond, Timeout: time.Second, Successes: 2, Deadline: 4 * time.Second}},
		Transport: config.Transport{Type: "local"},
		Rollout: config.Rollout{
			Strategy: "canary", KeepWarm: 20 * time.Second, ParkFor: time.Hour, ProgressDeadline: 2 * time.Minute,
			Steps: []config.Step{{SetWeight: percent(20)}, {Pause: &pause}, {SetWeight: percent(50)}, {Analysis: true}},
		},
		Rollback:  config.Rollback{Auto: true, Scope: "fleet", Lease: lease},
		Retention: config.Retention{Releases: 5},
		Traffic:   config.Traffic{Router: "embedded", Listen: public, DrainTimeout: 2 * time.Second, Boot: "refuse"},
		Analysis: config.Analysis{MinRequests: 5, MaxWait: 20 * time.Second, OnInsufficientData: "fail", Signals: []config.Signal{
			{Name: "errors", Errors: &config.ErrorLimit{Max: 0.2, Above: 0.01}, Interval: time.Second, MinRequests: 5},
		}},
	}
	for _, h := range w.hosts {
		t.Hosts = append(t.Hosts, config.Host{Name: h.name, Address: h.name})
	}
	if w.plan.batches && len(w.hosts) > 1 {
		t.Rollout.Strategy = "rolling"
		t.Rollout.MaxUnavailable = config.Amount{N: 1}
	}
	return t
}

// live is the whole life of the world; it runs inside a bubble.
func (w *world) live() {
	defer w.end()
	if w.plan.dark() {
		watchDisks(w.changes)
		defer watchDisks(nil)
	}
	time.Sleep(time.Hour) // since the state was written that this world may begin with
	for _, h := range w.hosts {
		h.start()
	}
	if w.plan.bare && !w.setUp() {
		return
	}
	time.Sleep(2 * time.Second) // the routers have come up
	if w.plan.only {
		time.Sleep(time.Minute) // the old slot, if any, cools
		return
	}
	stop, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { w.watch(stop) })
	if !w.plan.silent {
		for _, h := range w.hosts {
			watching.Go(func() { w.load(stop, h) })
		}
	}
	w.play()
	cancel()
	watching.Wait()
	w.judgeLoad()
	w.settle()
	w.afterwards()
}

// setUp deploys the first release, without any fault.
func (w *world) setUp() bool {
	c := w.controller("setup")
	c.deploy(first)
	c.wait()
	if c.state() != rollout.Promoted {
		w.breaks("the first deploy ended %s: %v", c.state(), c.err)
	}
	return c.state() == rollout.Promoted
}

func (w *world) end() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	for _, h := range w.hosts {
		h.shut()
	}
	time.Sleep(5 * time.Minute) // whatever still waits has given up then
}
