package host

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/release"
)

// clock is time that moves when the test says so.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	timers []timer
}

type timer struct {
	at time.Time
	c  chan time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) At(at time.Time) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := timer{at, make(chan time.Time, 1)}
	c.timers = append(c.timers, t)
	c.fire()
	return t.c
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.fire()
}

func (c *clock) fire() {
	c.timers = slices.DeleteFunc(c.timers, func(t timer) bool {
		due := !t.at.After(c.now)
		if due {
			t.c <- c.now
		}
		return due
	})
}

// manager is a service manager in memory.
type manager struct {
	clock *clock

	mu       sync.Mutex
	units    map[string]*unit
	pids     uint32
	failing  map[string]error // starts that fail
	deaf     map[string]bool  // programs that never listen
	starts   []string         // in order
	stops    []string
	solo     []string      // services that must not run at the same time
	together []string      // those that were started all the same
	blocking chan struct{} // while not nil, starts wait for it
	lasting  chan struct{} // while not nil, stops of the router wait for it
}

type unit struct {
	spec   scm.Spec
	status scm.Status
}

func newManager(c *clock) *manager {
	return &manager{clock: c, units: map[string]*unit{}, failing: map[string]error{}, deaf: map[string]bool{}}
}

func (m *manager) Ensure(_ context.Context, s scm.Spec) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u := m.units[s.Name]; u != nil {
		u.spec = s
		return nil
	}
	m.units[s.Name] = &unit{s, scm.Status{State: scm.Stopped}}
	return nil
}

func (m *manager) Start(ctx context.Context, name string) error {
	m.mu.Lock()
	block := m.blocking
	m.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.units[name]
	if u == nil {
		return scm.ErrNotFound
	}
	m.starts = append(m.starts, name)
	if err := m.failing[name]; err != nil {
		return err
	}
	if slices.Contains(m.solo, name) && slices.ContainsFunc(m.solo, func(other string) bool {
		return other != name && m.units[other] != nil && m.units[other].status.State == scm.Running
	}) {
		m.together = append(m.together, name)
	}
	if u.status.State != scm.Running {
		m.pids++
		u.status = scm.Status{State: scm.Running, PID: m.pids, Started: m.clock.Now()}
	}
	return nil
}

func (m *manager) Stop(_ context.Context, name string, _ time.Duration) error {
	m.mu.Lock()
	lasting := m.lasting
	m.mu.Unlock()
	if lasting != nil && name == routerA {
		<-lasting
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.units[name]
	if u == nil {
		return scm.ErrNotFound
	}
	m.stops = append(m.stops, name)
	u.status = scm.Status{State: scm.Stopped}
	return nil
}

func (m *manager) Status(_ context.Context, name string) (scm.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u := m.units[name]; u != nil {
		return u.status, nil
	}
	return scm.Status{State: scm.Absent}, nil
}

func (m *manager) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.units, name)
	return nil
}

func (m *manager) List(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for name := range m.units {
		if strings.HasPrefix(name, prefix) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (m *manager) Spec(_ context.Context, name string) (scm.Spec, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u := m.units[name]; u != nil {
		return u.spec, nil
	}
	return scm.Spec{}, scm.ErrNotFound
}

func (m *manager) Owns(_ context.Context, name string, _ int) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.units[name]
	return u != nil && u.status.State == scm.Running && !m.deaf[name], nil
}

func (m *manager) edit(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// crash ends a service's process.
func (m *manager) crash(name string, exit uint32) {
	m.edit(func() { m.units[name].status = scm.Status{State: scm.Stopped, Exit: exit} })
}

// reboot ends all processes and starts what is automatic.
func (m *manager) reboot() {
	m.edit(func() {
		for _, u := range m.units {
			u.status = scm.Status{State: scm.Stopped}
			if u.spec.Start == scm.Auto {
				m.pids++
				u.status = scm.Status{State: scm.Running, PID: m.pids, Started: m.clock.Now()}
			}
		}
	})
}

func (m *manager) running() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := []string{}
	for name, u := range m.units {
		if u.status.State == scm.Running && name != routerA {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (m *manager) spec(name string) scm.Spec {
	s, _ := m.Spec(context.Background(), name)
	return s
}

// proxy is a router in memory, leases included.
type proxy struct {
	clock *clock

	mu      sync.Mutex
	views   map[string]router.View
	until   map[string]time.Time
	broken  error
	drained []release.Slot
	holding chan struct{} // while not nil, drains wait for it
	held    int           // drains that are under way
}

func newProxy(c *clock) *proxy {
	return &proxy{clock: c, views: map[string]router.View{}, until: map[string]time.Time{}}
}

func (p *proxy) look(service string) (router.View, error) {
	if p.broken != nil {
		return router.View{}, p.broken
	}
	v, ok := p.views[service]
	if !ok {
		return v, router.ErrNotFound
	}
	if v.Weight > 0 && !p.clock.Now().Before(p.until[service]) {
		v.Weight, v.Expired = 0, true
		v.Generation++
		p.views[service] = v
	}
	return v, nil
}

func (p *proxy) List(context.Context) ([]router.View, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.views)), p.broken
}

func (p *proxy) Get(_ context.Context, service string) (router.View, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.look(service)
}

func (p *proxy) Put(_ context.Context, r router.Route, ifMatch uint64) (router.View, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, err := p.look(r.Service)
	if err != nil && !errors.Is(err, router.ErrNotFound) {
		return old, err
	}
	if err := r.Validate(); err != nil {
		return old, err
	}
	if old.Generation != ifMatch {
		return old, router.ErrStale
	}
	v := router.View{Route: r, Generation: old.Generation + 1, Epoch: "e1"}
	v.Slots = maps.Clone(r.Slots)
	p.views[r.Service] = v
	p.until[r.Service] = p.clock.Now().Add(r.Lease)
	return v, nil
}

func (p *proxy) Delete(_ context.Context, service string, _ uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.views, service)
	return nil
}

func (p *proxy) Drain(ctx context.Context, service string, slot release.Slot) (router.View, error) {
	p.mu.Lock()
	hold := p.holding
	p.held++
	p.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return router.View{}, context.Cause(ctx)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held--
	v, err := p.look(service)
	if err == nil && v.Stable == slot {
		return v, router.ErrConflict
	}
	p.drained = append(p.drained, slot)
	return v, err
}

func (p *proxy) Counters(_ context.Context, service string) (string, map[release.Slot]rpc.SlotCounters, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.look(service)
	return "e1", map[release.Slot]rpc.SlotCounters{release.Blue: {Requests: 7}}, err
}

// waiting are the drains that have not ended.
func (p *proxy) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

func (p *proxy) Ready(context.Context) error { return nil }

func (p *proxy) Self(context.Context) (router.Self, error) {
	return router.Self{Name: "a", PID: 7}, nil
}

func (p *proxy) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = err
}

func (p *proxy) hold(until chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holding = until
}

// weight is what the canary gets now.
func (p *proxy) weight(service string) (release.Slot, release.Weight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, _ := p.look(service)
	return v.Stable, v.Weight
}
