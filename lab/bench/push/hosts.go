//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	guard "github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/lab/wsman"
)

const (
	simUser     = "Administrator"
	simPassword = "Passw0rd!"
	serveLine   = "serve" // the only command of a simulated host
)

// simulated is a host without Wine: the lab's endpoint, and behind it a real
// guard with a real store.
type simulated struct {
	name   string
	layout guard.Layout
	server *wsman.Server
	port   int
	ended  chan error
	dial   func(context.Context) (net.Conn, error) // the guard

	mu    sync.Mutex
	after int
	then  func()
}

// limits are the smallest that Windows documents: a push fits into them.
func limits() wsman.Limits { return wsman.Limits{Shells: 4, Operations: 10} }

// machine says what a simulated host is like.
type machine struct {
	name, root, boot string
	limits           wsman.Limits
	port             int       // 0: any
	base             *rpc.Base // what a light host has; nil: it is a whole one
}

func startSimulated(ctx context.Context, m machine) (*simulated, error) {
	s := &simulated{name: m.name, layout: guard.DefaultLayout(m.root), ended: make(chan error, 1)}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", m.port))
	if err != nil {
		return nil, err
	}
	s.port = listener.Addr().(*net.TCPAddr).Port
	begin := s.guard
	if m.base != nil {
		begin = s.light
	}
	if err := begin(ctx, m); err != nil {
		listener.Close()
		return nil, err
	}
	s.server = wsman.New(wsman.Config{
		Runner: s, Computer: m.name, Limits: m.limits,
		Password: func(user string) (string, bool) { return simPassword, user == simUser },
	})
	go func() { _ = s.server.Serve(listener) }() // ends with Close
	context.AfterFunc(ctx, s.server.Close)
	return s, nil
}

// guard starts the host's guard.
func (s *simulated) guard(ctx context.Context, m machine) error {
	processes, err := scm.NewProcesses(scm.ProcessOptions{})
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	g, err := guard.NewGuard(guard.Options{
		Layout: s.layout, SCM: processes, Router: router.NewClient(s.layout.Router()), Executable: self, Version: "bench",
		Machine: func() (string, error) { return "simulated", nil }, Boot: func() (string, error) { return m.boot, nil },
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	s.dial = func(ctx context.Context) (net.Conn, error) { return guard.DialGuard(ctx, s.layout) }
	go func() { s.ended <- errors.Join(g.Run(ctx), processes.Close()) }()
	return nil
}

// onSend does f once so many pieces of input have come; nil takes it back.
func (s *simulated) onSend(after int, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after, s.then = after, f
}

// came counts a piece of input.
func (s *simulated) came() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.then == nil {
		return
	}
	if s.after--; s.after < 0 {
		s.then()
		s.then = nil
	}
}

// Start is the bridge: a connection to the guard instead of a process.
func (s *simulated) Start(ctx context.Context, c wsman.Command) (wsman.Process, error) {
	if c.Line != serveLine {
		return nil, wsman.ErrNoFile
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		conn, err := s.dial(ctx)
		if err == nil {
			return &bridge{host: s, conn: conn.(*net.TCPConn), over: make(chan struct{})}, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond): // it is only just starting
		}
	}
}

// bridge is a connection as a process.
type bridge struct {
	host *simulated
	conn *net.TCPConn
	over chan struct{}
}

func (b *bridge) Stdin() io.WriteCloser { return halfway{b.conn, b.host} }
func (b *bridge) Stdout() io.Reader     { return ending{b} }
func (b *bridge) Stderr() io.Reader     { return eof{} }
func (b *bridge) Kill()                 { b.conn.Close() }

func (b *bridge) Wait() (uint32, error) {
	<-b.over
	return 0, nil
}

type halfway struct {
	*net.TCPConn
	host *simulated
}

func (h halfway) Write(b []byte) (int, error) {
	h.host.came()
	return h.TCPConn.Write(b)
}

func (h halfway) Close() error { return h.CloseWrite() }

// ending is the process's output; it is over with the connection.
type ending struct{ b *bridge }

func (e ending) Read(p []byte) (int, error) {
	n, err := e.b.conn.Read(p)
	if err != nil {
		close(e.b.over)
	}
	return n, err
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// hostsOrder asks a process of its own for simulated hosts.
type hostsOrder struct {
	Dir   string // one folder per host in it
	N     int
	Delay time.Duration // there and back
	Base  *rpc.Base     // of light hosts
}

// serveHosts is that process: it answers with the ports, and ends with stdin.
func serveHosts(ctx context.Context, in io.Reader, out io.Writer) error {
	var o hostsOrder
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	all, ports, err := startHosts(ctx, o)
	if err == nil {
		err = json.NewEncoder(out).Encode(ports)
	}
	if err == nil {
		_, _ = io.Copy(io.Discard, in)
	}
	stop()
	for _, s := range all {
		<-s.ended
	}
	return err
}

func startHosts(ctx context.Context, o hostsOrder) (all []*simulated, ports []int, err error) {
	for i := range o.N {
		s, err := startSimulated(ctx, machine{name: hostName(i), root: filepath.Join(o.Dir, hostName(i)), boot: "1", limits: limits(), base: o.Base})
		if err != nil {
			return all, nil, err
		}
		all, ports = append(all, s), append(ports, s.port)
		if o.Delay == 0 {
			continue
		}
		way, err := far(ctx, fmt.Sprintf("127.0.0.1:%d", s.port), o.Delay)
		if err != nil {
			return all, nil, err
		}
		ports[i] = way.Port
	}
	return all, ports, nil
}

func hostName(i int) string { return fmt.Sprintf("sim%03d", i+1) }

// simRemotes are the hosts behind those ports.
func simRemotes(ports []int) []remote {
	var all []remote
	for i, port := range ports {
		all = append(all, remote{Host: hostName(i), Address: "127.0.0.1", Port: port, User: simUser, Password: simPassword, Serve: serveLine})
	}
	return all
}
