//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	guard "github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/transport"
)

// machine is a host as the controller sees it: a process with a network of
// its own, which it reaches by a socket in a folder. Only WinRM is left out.
type machine struct {
	number int
	socket string
	cmd    *exec.Cmd
	in     io.Closer
}

// startMachine starts host number n and lays its cable.
func startMachine(ctx context.Context, dir string, n int) (*machine, error) {
	root := filepath.Join(dir, fmt.Sprintf("host%d", n))
	m := &machine{number: n, socket: root + ".sock"}
	cmd, err := self(ctx, "host", root, m.socket)
	if err != nil {
		return nil, err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m.cmd, m.in = cmd, in
	if err := connect(ctx, n, cmd.Process.Pid); err != nil {
		return nil, errors.Join(err, m.end())
	}
	if _, err := fmt.Fprintln(in, n); err != nil {
		return nil, errors.Join(err, m.end())
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("start host %d: %w", n, err), m.end())
	}
	return m, nil
}

// end closes its stdin, which is its end.
func (m *machine) end() error {
	m.in.Close()
	return m.cmd.Wait()
}

// Run is not needed: the guard is there already.
func (m *machine) Run(context.Context, string, io.Reader) (transport.Result, error) {
	return transport.Result{}, errors.New("not needed")
}

func (m *machine) Close() error { return nil }

type pipe struct{ net.Conn }

func (pipe) MaxWrite() int { return 380_000 }

func (m *machine) Pipe(ctx context.Context, _ string) (transport.Pipe, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", m.socket)
	if err != nil {
		return nil, &transport.Error{Kind: transport.Unreachable, Host: m.socket, Phase: "dial", Err: err}
	}
	return pipe{c}, nil
}

// serveHost is the process of a host: its guard, and the way to it.
func serveHost(ctx context.Context, root, socket string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var number int
	if _, err := fmt.Scanln(&number); err != nil {
		return fmt.Errorf("read the host's number: %w", err)
	}
	if err := settle(ctx, number); err != nil {
		return err
	}
	processes, err := scm.NewProcesses(scm.ProcessOptions{})
	if err != nil {
		return err
	}
	defer processes.Close()
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	layout := guard.DefaultLayout(root)
	g, err := guard.NewGuard(guard.Options{
		Layout: layout, SCM: processes, Router: router.NewClient(layout.Router()), Executable: exe,
		Args: []string{"--root", root}, Version: "bench", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	defer l.Close()
	go relay(ctx, l, layout)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is closed
		stop()
	}()
	fmt.Println("ready")
	return g.Run(ctx)
}

// relay connects who comes with the guard.
func relay(ctx context.Context, l net.Listener, layout guard.Layout) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			defer c.Close()
			to, err := guard.DialGuard(ctx, layout)
			if err != nil {
				return
			}
			defer to.Close()
			go func() { _, _ = io.Copy(to, c); to.Close() }()
			_, _ = io.Copy(c, to)
		}()
	}
}

func serveRouter(ctx context.Context, name, root string) error {
	return router.New(router.Options{Name: name, Dir: guard.DefaultLayout(root).Router()}).Run(ctx)
}
