package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// cores is what every proxy may use; it is the machine that the goals are for.
const cores = 2

// proxy is one running proxy in front of the backend.
type proxy struct {
	name string
	log  bool   // writes an access log
	addr string // its public address
	cmd  *exec.Cmd
}

// setup is what a proxy is started with.
type setup struct {
	dir  string // its own
	addr string
	back *backend
	log  string // of accesses; empty: none
}

// starter prepares the files of a proxy and tells the command that runs it in
// the foreground.
type starter func(ctx context.Context, s setup) (*exec.Cmd, error)

func starters() map[string]starter {
	return map[string]starter{"shipper": startShipper, "haproxy": startHAProxy, "nginx": startNginx, "caddy": startCaddy}
}

// names of the proxies, ours first.
func names() []string { return []string{"shipper", "haproxy", "nginx", "caddy"} }

func startProxy(ctx context.Context, dir, name string, back *backend, log bool) (*proxy, error) {
	s := setup{dir: dir, addr: freeAddr(), back: back}
	if log {
		s.log = filepath.Join(dir, "access.log")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	cmd, err := starters()[name](ctx, s)
	if err != nil {
		return nil, err
	}
	out, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Dir, cmd.Stderr = dir, out
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &proxy{name, log, s.addr, cmd}
	if name == "shipper" {
		err = route(ctx, s)
	}
	if err = errors.Join(err, reachable(ctx, s.addr)); err != nil {
		said, _ := os.ReadFile(out.Name())
		return p, fmt.Errorf("%w\n%s", err, said)
	}
	return p, nil
}

func (p *proxy) stop() {
	if p.cmd.Process.Signal(syscall.SIGTERM) != nil {
		p.cmd.Process.Kill()
	}
	_ = p.cmd.Wait() // how it ends is its own matter
}

// startShipper builds the program that stands on a host and runs its router.
func startShipper(ctx context.Context, s setup) (*exec.Cmd, error) {
	program := filepath.Join(s.dir, "shipper-host")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./cmd/shipper-host")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build shipper-host: %w\n%s", err, out)
	}
	if err := os.MkdirAll(host.DefaultLayout(s.dir).Router(), 0o700); err != nil {
		return nil, err
	}
	return exec.Command(program, "--root", s.dir, "router"), nil
}

// route gives each slot half of the requests, as the others do it.
func route(ctx context.Context, s setup) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c := router.NewClient(host.DefaultLayout(s.dir).Router())
	if err := c.Ready(ctx); err != nil {
		return err
	}
	_, err := c.Put(ctx, router.Route{
		Service: "bench", Listen: s.addr,
		Slots:  map[release.Slot]string{release.Blue: s.back.addr(0), release.Green: s.back.addr(1)},
		Watch:  rpc.Watch{AccessLog: rpc.AccessLog{On: s.log != ""}},
		Stable: release.Blue, Canary: release.Green, Weight: release.Full / 2, Lease: 24 * time.Hour,
	}, 0)
	return err
}

func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0" // the proxy will say what is wrong
	}
	defer l.Close()
	return l.Addr().String()
}

// reachable waits until the proxy takes connections.
func reachable(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
