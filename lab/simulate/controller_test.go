package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/transport"
)

// controller is one shipper process on a machine of its own.
type controller struct {
	w      *world
	name   string
	p      *pipeline.Pipeline
	links  map[string]*link
	ctx    context.Context
	stop   context.CancelCauseFunc
	over   chan struct{}
	killed bool

	verb, version string
	res           pipeline.Result
	err           error
}

func (w *world) controller(name string) *controller {
	c := &controller{w: w, name: name, links: map[string]*link{}, over: make(chan struct{})}
	c.ctx, c.stop = context.WithCancelCause(context.Background())
	for _, h := range w.hosts {
		c.links[h.name] = &link{}
		if name == "main" || name == "rival" {
			c.links[h.name] = &link{twice: w.plan.twice, lose: w.plan.lose}
		}
	}
	offset := w.plan.offsets[len(name)%len(w.plan.offsets)]
	c.p = &pipeline.Pipeline{
		Target: w.target(), Owner: name, Version: "sim", Emit: c.emit,
		Now:  func() time.Time { return time.Now().Add(offset) },
		Dial: c.dial,
		Bridge: func(context.Context, transport.Conn, config.Host, bool) (string, error) {
			return "serve", nil
		},
		Leave: func(context.Context, transport.Conn, config.Host) error { return nil },
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, c)
	return c
}

func (c *controller) emit(r journal.Record) {
	if r.Type == journal.TypeProgress {
		return
	}
	if h := c.w.host(r.Host); h != nil && r.Type == journal.TypeUndone && !c.isKilled() {
		go c.w.undone(h, r.Run)
	}
	c.w.event("%s: %s %s %.200s", c.name, r.Type, r.Host, r.Data)
}

func (c *controller) run(verb string, f func(context.Context) (pipeline.Result, error)) {
	c.verb = verb
	c.w.event("%s: begins to %s %s", c.name, verb, c.version)
	go func() {
		defer close(c.over)
		c.res, c.err = f(c.ctx)
		if !c.isKilled() {
			c.w.event("%s: %s ended %s: %v", c.name, verb, c.res.State, c.err)
		}
	}()
}

func (c *controller) deploy(version string) {
	c.version = version
	c.run("deploy", func(ctx context.Context) (pipeline.Result, error) {
		return c.p.Deploy(ctx, pipeline.DeployRequest{Bundle: c.w.shop.bundles[version]})
	})
}

func (c *controller) rollback() {
	c.run("rollback", func(ctx context.Context) (pipeline.Result, error) {
		return c.p.Rollback(ctx, pipeline.RollbackRequest{})
	})
}

func (c *controller) sync() {
	c.run("sync", func(ctx context.Context) (pipeline.Result, error) {
		return c.p.Sync(ctx, pipeline.DeployRequest{Bundle: c.w.shop.bundles[c.w.plan.version]})
	})
}

func (c *controller) resume(kind string) {
	c.run(kind, func(ctx context.Context) (pipeline.Result, error) { return c.p.Resume(ctx, kind) })
}

func (c *controller) ask(kind string) {
	c.run("ask to "+kind, func(ctx context.Context) (pipeline.Result, error) { return c.p.Ask(ctx, kind) })
}

// wait returns when the controller has ended; one that never does breaks the
// promise that every run ends.
func (c *controller) wait() {
	select {
	case <-c.over:
	case <-time.After(20 * time.Minute):
		c.w.breaks("%s never ends", c.name)
		c.kill()
		<-c.over
	}
}

func (c *controller) state() rollout.State { <-c.over; return c.res.State }

func (c *controller) isOver() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

func (c *controller) isKilled() bool {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	return c.killed
}

// kill ends the process: from now on no host hears of it, and what it goes on
// to do here is nothing.
func (c *controller) kill() {
	c.w.event("%s: is killed", c.name)
	c.w.mu.Lock()
	c.killed = true
	c.w.mu.Unlock()
	for _, l := range c.links {
		l.change(func() { l.dead = true })
	}
	for _, h := range c.w.hosts {
		h.net.resetLink(c.links[h.name])
	}
	c.stop(errors.New("killed"))
}

// heard tells whether a host could hear this controller now.
func (c *controller) heard(host string) bool {
	if c.isOver() || c.isKilled() {
		return false
	}
	down, dead, frozen := c.links[host].state()
	return !down && !dead && !time.Now().Before(frozen)
}

func (c *controller) dial(ctx context.Context, h config.Host) (transport.Conn, error) {
	if m := c.w.host(h.Name); m != nil {
		return &way{c: c, to: m}, nil
	}
	return nil, fmt.Errorf("no host %s", h.Name)
}

// way is the transport to one host.
type way struct {
	c  *controller
	to *machine
}

func (y *way) Run(context.Context, string, io.Reader) (transport.Result, error) {
	return transport.Result{}, errors.New("not needed")
}

func (y *way) Close() error { return nil }

type pipe struct{ net.Conn }

func (pipe) MaxWrite() int { return 380_000 }

// Pipe is what the bridge on the host does: find the guard, and wait for one
// that starts.
func (y *way) Pipe(ctx context.Context, _ string) (transport.Pipe, error) {
	l := y.c.links[y.to.name]
	for range 20 {
		down, dead, frozen := l.state()
		switch {
		case dead:
			return nil, y.unreachable(errReset)
		case !y.to.isUp() || down || time.Now().Before(frozen):
			if err := sleep(ctx, 3*time.Second); err != nil {
				return nil, y.unreachable(err)
			}
			return nil, y.unreachable(errors.New("no answer"))
		}
		c, err := host.DialGuardOver(ctx, y.to.layout, func(ctx context.Context, addr string) (net.Conn, error) {
			if err := sleep(ctx, 20*time.Millisecond); err != nil {
				return nil, err
			}
			return y.to.net.dialFrom(ctx, addr, "10.9.9.9:1", nil)
		})
		if err == nil {
			c.(*conn).over(l) // the handshake was between bridge and guard, on the host
			return pipe{c}, nil
		}
		if err := sleep(ctx, 250*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return nil, y.unreachable(errors.New("the guard does not answer"))
}

func (y *way) unreachable(err error) error {
	return &transport.Error{Kind: transport.Unreachable, Host: y.to.name, Phase: "dial", Err: err}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
