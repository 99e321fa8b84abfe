package router

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httputil"
	"sync"
	"syscall"
	"time"
)

// direct forwards plain requests on the goroutine that serves the client: it
// writes them by hand and waits for the answer itself. The transports of
// net/http have two goroutines for each connection, and ReverseProxy copies
// every request before it is sent; together they cost more than the rest.
// What has a body, an upgrade or an expectation wants to be written and read
// at once, and is left to them.
type direct struct {
	conns   *conns
	buffers *bufferPool
	rest    *httputil.ReverseProxy // for what is not plain
	moment  time.Duration          // see line.begin

	mu       sync.Mutex
	idle     []*line // the one that was used last is at the end
	sweeping bool
}

func newDirect(addr string, to *conns, e *env) *direct {
	return &direct{conns: to, buffers: e.buffers, rest: newProxy(addr, newPool(to), e), moment: firstMoment}
}

// ServeHTTP implements http.Handler.
func (d *direct) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isPlain(r) {
		d.rest.ServeHTTP(w, r)
		return
	}
	l, res, err := d.ask(w, r)
	if err != nil {
		d.rest.ErrorHandler(w, r, err)
		return
	}
	whole := false // an answer that is cut panics
	defer func() { d.end(l, whole && !res.Close) }()
	pass(w, res, d.buffers)
	whole = true
}

// ask gets the answer's head, and the line on which its body comes. As with a
// Transport a request may be sent again where a kept connection ended before
// any answer to it, and once more than there where a new one was reset: an
// instance that stops does that to whoever it has not accepted yet. One that
// took the request and gave up ends the connection in order, and has had its
// chance.
func (d *direct) ask(w http.ResponseWriter, r *http.Request) (*line, *http.Response, error) {
	ctx := r.Context()
	for reset := false; ctx.Err() == nil; {
		l := d.take(ctx)
		used := l != nil
		if !used {
			var err error
			if l, err = d.dial(ctx); err != nil {
				return nil, nil, err
			}
		}
		res, err := l.ask(w, r)
		if err == nil {
			return l, res, nil
		}
		d.end(l, false)
		gaveUp := !used && (reset || !isReset(err))
		if ctx.Err() == nil && (l.heard || isTimeout(err) || gaveUp) {
			return nil, nil, err
		}
		reset = reset || !used
	}
	return nil, nil, context.Cause(ctx)
}

// take gives the line that was used last and is silent still; nil without one.
func (d *direct) take(ctx context.Context) *line {
	for {
		d.mu.Lock()
		if len(d.idle) == 0 {
			d.mu.Unlock()
			return nil
		}
		last := len(d.idle) - 1
		l := d.idle[last]
		d.idle[last] = nil
		d.idle = d.idle[:last]
		d.mu.Unlock()
		if l.silent() && l.begin(ctx, d.moment) == nil {
			return l
		}
		l.Close()
	}
}

func (d *direct) dial(ctx context.Context) (*line, error) {
	c, err := d.conns.dial(ctx, "", "")
	if err != nil {
		return nil, err
	}
	l := &line{conn: c.(*conn)}
	l.in = bufio.NewReaderSize(l, bufferSize)
	if tcp, ok := l.stream.(syscall.Conn); ok {
		if l.raw, err = tcp.SyscallConn(); err != nil {
			c.Close()
			return nil, &connectError{err}
		}
	}
	if err := l.begin(ctx, d.moment); err != nil {
		c.Close()
		return nil, &connectError{err}
	}
	return l, nil
}

// end keeps a line whose answer was read to the end, if its instance takes
// another request.
func (d *direct) end(l *line, kept bool) {
	if l.unwatch() && kept && l.in.Buffered() == 0 {
		d.put(l)
		return
	}
	l.Close()
}

func (d *direct) put(l *line) {
	l.since = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.idle) >= idlePerHost {
		l.Close()
		return
	}
	d.idle = append(d.idle, l)
	if !d.sweeping {
		d.sweeping = true
		time.AfterFunc(idleTimeout, d.sweep)
	}
}

// sweep closes what was not used for long: the first ones.
func (d *direct) sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := 0
	for old < len(d.idle) && time.Since(d.idle[old].since) >= idleTimeout {
		d.idle[old].Close()
		old++
	}
	d.idle = append(d.idle[:0:0], d.idle[old:]...)
	d.sweeping = len(d.idle) > 0
	if d.sweeping {
		time.AfterFunc(idleTimeout, d.sweep)
	}
}

// CloseIdleConnections does what a Transport's does.
func (d *direct) CloseIdleConnections() {
	d.rest.Transport.(*http.Transport).CloseIdleConnections()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.idle {
		l.Close()
	}
	d.idle = nil
}
