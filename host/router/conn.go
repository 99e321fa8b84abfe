package router

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

const connectTimeout = 5 * time.Second // on the loopback: only a full backlog takes time

var errDrained = errors.New("the instance is drained")

// connectError is a failure before any byte of a request was written.
type connectError struct{ error }

func (e *connectError) Unwrap() error { return e.error }

// conns are all connections to one instance, those of tunnels included, so
// that none outlives a drain.
type conns struct {
	addr   string
	mu     sync.Mutex
	open   map[*conn]struct{}
	closed bool
}

// conn embeds the TCP connection: CloseWrite and ReadFrom stay visible.
type conn struct {
	*net.TCPConn
	set *conns
}

func (c *conn) Close() error {
	c.set.mu.Lock()
	delete(c.set.open, c)
	c.set.mu.Unlock()
	return c.TCPConn.Close()
}

func (s *conns) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	d := net.Dialer{Timeout: connectTimeout, Control: failFast}
	raw, err := d.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, &connectError{err}
	}
	c := &conn{TCPConn: raw.(*net.TCPConn), set: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.TCPConn.Close()
		return nil, errDrained
	}
	s.open[c] = struct{}{}
	return c, nil
}

// closeWrite tells the instance on every connection that no more will come.
// It can still finish what it is saying.
func (s *conns) closeWrite() {
	for _, c := range s.all() {
		c.CloseWrite()
	}
}

// close cuts every connection and lets no new one come up.
func (s *conns) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, c := range s.all() {
		c.Close()
	}
}

func (s *conns) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *conns) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*conn, 0, len(s.open))
	for c := range s.open {
		list = append(list, c)
	}
	return list
}
