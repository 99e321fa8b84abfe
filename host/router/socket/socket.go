// Package socket makes listening sockets that can be paused, and handed to
// another process of this machine without losing a connection: what connects
// meanwhile waits in the socket's own queue, which both processes share.
package socket

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Listener is a listening TCP socket. It is safe for concurrent use, but one
// Accept runs at a time.
type Listener struct {
	// Accepted, if set before the first Accept, is called for each connection.
	// Pause returns only after it did for the last one.
	Accepted func()

	inner inner

	accepting sync.Mutex // held by Accept, and while paused

	mu     sync.Mutex
	paused bool
	closed bool
}

// Source is the system's half. A deadline that passed ends a waiting Accept; a
// zero one lets it wait again.
type Source interface {
	net.Listener
	SetDeadline(t time.Time) error
}

type inner = Source

// Over makes a Listener of something else than the system's socket; it can be
// paused, not given away.
func Over(s Source) *Listener { return &Listener{inner: s} }

// Listen takes the address, exclusively.
func Listen(ctx context.Context, addr string) (*Listener, error) {
	l, err := listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	return &Listener{inner: l}, nil
}

// Accept waits for a connection, through every pause.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.accept()
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return c, err
		}
		l.makeRoom()
	}
}

// makeRoom waits for whoever ended the Accept by a deadline: trying again at
// once would keep the lock from them, and a processor busy.
func (l *Listener) makeRoom() {
	l.mu.Lock()
	defer l.mu.Unlock()
}

func (l *Listener) accept() (net.Conn, error) {
	l.accepting.Lock()
	defer l.accepting.Unlock()
	c, err := l.inner.Accept()
	if err == nil && l.Accepted != nil {
		l.Accepted()
	}
	return c, err
}

// Pause returns when no Accept is under way any more; what connects from now
// on waits.
func (l *Listener) Pause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	if l.paused {
		return nil
	}
	if err := l.inner.SetDeadline(time.Unix(1, 0)); err != nil {
		return err
	}
	l.accepting.Lock()
	l.paused = true
	return nil
}

// Resume ends a pause.
func (l *Listener) Resume() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	if !l.paused {
		return nil
	}
	err := l.inner.SetDeadline(time.Time{})
	l.paused = false
	l.accepting.Unlock()
	return err
}

// Close gives up this process's hold on the socket. What waits in its queue is
// lost only if no other process has it.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.closed = true
	var err error
	if !l.paused {
		err = l.inner.SetDeadline(time.Unix(1, 0))
		l.accepting.Lock()
	}
	defer l.accepting.Unlock()
	return errors.Join(err, l.inner.Close())
}

// Addr is the address that is listened on.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Give hands the socket to the process that opened the dock. What it returns
// must reach that process's Take.
func (l *Listener) Give(dock string) ([]byte, error) { return give(l.inner, dock) }
