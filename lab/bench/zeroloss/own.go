package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/go-shipper/shipper/examples/load"
	"github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/release"
)

const (
	drainTimeout = 30 * time.Second
	tunnelGrace  = time.Second
	patience     = time.Minute
)

// own is our router, as processes, and two slots behind it.
type own struct {
	root, public string
	programs     [2]string // of two digests: an upgrade goes from one to the other
	program      int
	client       *router.Client
	processes    map[string]*exec.Cmd // by the router's name
	serving      string
	addrs        map[release.Slot]string
	running      map[release.Slot]*running
	stable       release.Slot
	download     int64
}

func runOwn(ctx context.Context, dir string, o options) (outcome, error) {
	out := outcome{name: "shipper"}
	s, err := newOwn(ctx, filepath.Join(dir, "shipper"), o)
	if err != nil {
		return out, err
	}
	defer s.end()
	g, stop := startLoad(ctx, s.public, o)
	defer stop()
	began := time.Now()
	for round := range o.rounds {
		if err := s.change(ctx, g, round, &out); err != nil {
			return out, fmt.Errorf("round %d: %w", round+1, err)
		}
		progress("shipper", round+1, o.rounds)
	}
	out.took = time.Since(began)
	stop()
	out.report = *g.Wait()
	return out, nil
}

func progress(name string, n, of int) {
	if n%10 == 0 || n == of {
		fmt.Fprintf(os.Stderr, "%s: round %d of %d\n", name, n, of)
	}
}

// startLoad is the same for every proxy.
func startLoad(ctx context.Context, addr string, o options) (*load.Generator, func()) {
	ctx, stop := context.WithCancel(ctx)
	url := "http://" + addr
	sockets := make([]string, 10)
	for i := range sockets {
		sockets[i] = url + "/echo"
	}
	return load.Start(ctx, load.Options{
		URLs: []string{url + "/"}, Rate: o.rate, KeepAlive: 48, Short: 16, Posts: 0.5, Body: "an upload",
		Sockets: sockets, Downloads: []string{url + "/download"}, Timeout: 30 * time.Second,
	}), stop
}

func newOwn(ctx context.Context, dir string, o options) (*own, error) {
	s := &own{
		root: filepath.Join(dir, "root"), stable: release.Blue, download: o.download,
		processes: map[string]*exec.Cmd{}, addrs: map[release.Slot]string{}, running: map[release.Slot]*running{},
	}
	var err error
	if err = os.MkdirAll(host.DefaultLayout(s.root).Router(), 0o700); err != nil {
		return nil, err
	}
	if s.programs, err = buildTwice(ctx, dir); err != nil {
		return nil, err
	}
	for _, slot := range release.Slots() {
		if s.addrs[slot], err = freeAddr(); err != nil {
			return nil, err
		}
	}
	if s.public, err = freeAddr(); err != nil {
		return nil, err
	}
	s.client = router.NewClient(host.DefaultLayout(s.root).Router())
	if err := errors.Join(s.start(release.Blue), s.follow(ctx, "a")); err != nil {
		s.end()
		return nil, err
	}
	if _, err = s.client.Put(ctx, s.route("", 0), 0); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// buildTwice gives the program in two versions, which differ by a few bytes.
func buildTwice(ctx context.Context, dir string) (programs [2]string, err error) {
	for i := range programs {
		programs[i] = filepath.Join(dir, fmt.Sprintf("shipper-host-%d", i))
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", fmt.Sprintf("-s -w -buildid=%d", i),
			"-o", programs[i], "github.com/go-shipper/shipper/cmd/shipper-host")
		if out, err := build.CombinedOutput(); err != nil {
			return programs, fmt.Errorf("build shipper-host: %w\n%s", err, out)
		}
	}
	return programs, nil
}

func (s *own) start(slot release.Slot) error {
	in, err := startInstance(string(slot), s.addrs[slot], s.download)
	s.running[slot] = in
	return err
}

// follow starts a router that takes over from the one that serves, if any,
// and waits for the end of that one.
func (s *own) follow(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.Command(s.programs[s.program], "--root", s.root, "router", name)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	s.processes[name] = cmd
	for {
		if self, err := s.client.Self(ctx); err == nil && self.Name == name {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("router %s does not serve: %w", name, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	before := s.processes[s.serving]
	s.serving = name
	if before == nil {
		return nil
	}
	return before.Wait()
}

func (s *own) route(canary release.Slot, w release.Weight) router.Route {
	r := router.Route{
		Service: "bench", Listen: s.public, Slots: s.addrs, Stable: s.stable, Canary: canary, Weight: w,
		DrainTimeout: drainTimeout, TunnelGrace: tunnelGrace,
	}
	if w > 0 {
		r.Lease = time.Minute
	}
	return r
}

func (s *own) put(ctx context.Context, r router.Route) error {
	now, err := s.client.Get(ctx, r.Service)
	if err != nil {
		return err
	}
	_, err = s.client.Put(ctx, r, now.Generation)
	return err
}

// change releases into the idle slot in one of three ways, and lets the other
// router take over in the middle of it: by the same program, or by another.
func (s *own) change(ctx context.Context, g *load.Generator, round int, out *outcome) error {
	canary := s.stable.Other()
	if err := s.start(canary); err != nil {
		return err
	}
	rollback := round%3 == 2
	weights := []release.Weight{500, 5000}
	if round%3 == 0 { // a switch at once
		weights = nil
	}
	for _, w := range weights {
		if err := errors.Join(s.put(ctx, s.route(canary, w)), more(ctx, g)); err != nil {
			return err
		}
	}
	if err := s.changeRouter(ctx, round, out); err != nil {
		return err
	}
	old := s.stable
	if rollback {
		old = canary
	}
	s.stable = old.Other()
	if err := s.put(ctx, s.route("", 0)); err != nil {
		return err
	}
	if _, err := s.client.Drain(ctx, "bench", old); err != nil {
		return err
	}
	s.running[old].kill() // nothing is connected any more
	out.switches++
	return more(ctx, g)
}

func (s *own) changeRouter(ctx context.Context, round int, out *outcome) error {
	if round%2 == 0 {
		out.restarts++
	} else {
		s.program = 1 - s.program
		out.upgrades++
	}
	next := "a"
	if s.serving == "a" {
		next = "b"
	}
	return s.follow(ctx, next)
}

// more waits for requests to be answered, so that every state is used.
func more(ctx context.Context, g *load.Generator) error {
	have := g.Report().Sent()
	return g.Until(ctx, func(r load.Report) bool { return r.Sent() >= have+200 })
}

func (s *own) end() {
	if cmd := s.processes[s.serving]; cmd != nil {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // how it ends is counted by the load
	}
	for _, in := range s.running {
		if in != nil {
			in.kill()
		}
	}
}
