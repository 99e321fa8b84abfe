package router

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

const connectTimeout = 5 * time.Second // on the loopback: only a full backlog takes time

var errDrained = errors.New("the instance is drained")

// connectError is a failure before any byte of a request was written.
type connectError struct{ error }

func (e *connectError) Unwrap() error { return e.error }

// conns are all connections to one instance, and the clients' ends of its
// tunnels, so that none outlives a drain.
type conns struct {
	addr    string
	reach   func(ctx context.Context, addr string) (net.Conn, error)
	mu      sync.Mutex
	open    map[*conn]struct{}
	tunnels map[*conn]struct{} // the clients' ends
	leaving bool               // WebSockets are told to go: one that comes now is told at once
	closed  bool
}

func newConns(addr string, e *env) *conns {
	return &conns{addr: addr, reach: e.dial, open: map[*conn]struct{}{}, tunnels: map[*conn]struct{}{}}
}

// conn is a connection that a drain knows of.
type conn struct {
	stream
	set  *conns
	home map[*conn]struct{} // of set
}

func (c *conn) Close() error {
	c.set.mu.Lock()
	delete(c.home, c)
	c.set.mu.Unlock()
	return c.stream.Close()
}

func (s *conns) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	raw, err := s.reach(ctx, s.addr)
	if err != nil {
		return nil, &connectError{err}
	}
	c := s.keep(raw.(stream), s.open)
	if c == nil {
		raw.Close()
		return nil, errDrained
	}
	return c, nil
}

// adopt keeps the client's end of a tunnel; it gives nil after close.
func (s *conns) adopt(client stream) *conn { return s.keep(client, s.tunnels) }

func (s *conns) keep(raw stream, home map[*conn]struct{}) *conn {
	c := &conn{stream: raw, set: s, home: home}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	home[c] = struct{}{}
	if w, ok := raw.(*websocket); ok && s.leaving {
		go w.goodbye()
	}
	return c
}

// closeWrite tells the instance on every connection that no more will come.
// It can still finish what it is saying.
func (s *conns) closeWrite() {
	for _, c := range s.all(s.open) {
		_ = c.CloseWrite() // what is closed already has been told
	}
}

// goodbye tells the clients of WebSockets to connect again, one after another
// over most of grace, so that they do not all come at once.
func (s *conns) goodbye(grace time.Duration, idle <-chan struct{}) {
	s.mu.Lock()
	s.leaving = true
	s.mu.Unlock()
	tunnels := s.all(s.tunnels)
	for _, c := range tunnels {
		if w, ok := c.stream.(*websocket); ok {
			go w.goodbye()
		}
		select {
		case <-time.After(grace * 4 / 5 / time.Duration(len(tunnels))):
		case <-idle:
			return
		}
	}
}

// close cuts every connection and lets no new one come up.
func (s *conns) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, c := range append(s.all(s.open), s.all(s.tunnels)...) {
		c.Close()
	}
}

func (s *conns) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *conns) all(home map[*conn]struct{}) []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(home))
}
