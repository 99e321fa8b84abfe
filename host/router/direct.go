package router

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"syscall"
	"time"
)

const requestBuffer = 4 << 10 // bytes; of a request without a body

var (
	errHeaderTooLong = fmt.Errorf("the instance's answer has more than %d bytes of headers", maxHeader)
	errUnasked       = errors.New("the instance changed the protocol without being asked")
)

// direct asks an instance on the goroutine that serves the client. The
// transports of net/http have two goroutines for each connection, and waking
// them is a fourth of what a small request costs. What has a body, an upgrade
// or an expectation wants to be written and read at once, and is left to one.
type direct struct {
	conns *conns
	other *http.Transport

	mu       sync.Mutex
	idle     []*line // the one that was used last is at the end
	sweeping bool
}

// RoundTrip implements http.RoundTripper. As with a Transport a request may be
// sent again where a kept connection ended before any answer to it, and once
// more than there where a new one was reset: an instance that stops does that
// to whoever it has not accepted yet. One that took the request and gave up
// ends the connection in order, and has had its chance.
func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if !isPlain(r) {
		return d.other.RoundTrip(r)
	}
	for reset := false; ; {
		l := d.take()
		used := l != nil
		if !used {
			var err error
			if l, err = d.dial(r.Context()); err != nil {
				return nil, err
			}
		}
		res, err := d.ask(l, r)
		if err == nil {
			return res, nil
		}
		l.Close()
		switch {
		case r.Context().Err() != nil:
			return nil, context.Cause(r.Context())
		case l.heard || isTimeout(err) || !used && (reset || !isReset(err)):
			return nil, err
		}
		reset = reset || !used
	}
}

// isPlain requests have no body, may be sent twice, and end with their answer.
func isPlain(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		return false
	}
	bodyless := (r.Body == nil || r.Body == http.NoBody) && r.ContentLength == 0 && len(r.TransferEncoding) == 0 && len(r.Trailer) == 0
	return bodyless && !r.Close && r.Header["Upgrade"] == nil && r.Header["Expect"] == nil
}

// ask writes the request and reads the answer's head; the answer's body gives
// the line back.
func (d *direct) ask(l *line, r *http.Request) (*http.Response, error) {
	stop := context.AfterFunc(r.Context(), func() { l.Close() })
	if err := l.SetDeadline(time.Now().Add(headerTimeout)); err != nil {
		return nil, err
	}
	l.heard, l.left = false, maxHeader+bufferSize
	if err := r.Write(l.out); err != nil {
		return nil, err
	}
	if err := l.out.Flush(); err != nil {
		return nil, err
	}
	res, err := l.head(r)
	if err != nil {
		return nil, err
	}
	if err := l.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	l.left = math.MaxInt64
	body := &answerBody{ReadCloser: res.Body, line: l, pool: d, stop: stop, kept: !res.Close}
	if res.Body == http.NoBody {
		body.end(true)
		return res, nil
	}
	res.Body = body
	return res, nil
}

// take gives the line that was used last and is silent still; nil without one.
func (d *direct) take() *line {
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
		if l.silent() {
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
	l.in, l.out = bufio.NewReaderSize(l, bufferSize), bufio.NewWriterSize(l, requestBuffer)
	if tcp, ok := l.stream.(syscall.Conn); ok {
		if l.raw, err = tcp.SyscallConn(); err != nil {
			c.Close()
			return nil, &connectError{err}
		}
	}
	return l, nil
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
	d.other.CloseIdleConnections()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.idle {
		l.Close()
	}
	d.idle = nil
}

// line is a connection to an instance that one request has at a time.
type line struct {
	*conn
	in    *bufio.Reader
	out   *bufio.Writer
	raw   syscall.RawConn // nil: it cannot be looked at
	left  int64           // bytes that may still be read
	heard bool            // something of the answer has come
	since time.Time       // when it was used last
}

// Read keeps the answer's head within its bound.
func (l *line) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errHeaderTooLong
	}
	n, err := l.conn.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	l.heard = l.heard || n > 0
	return n, err
}

// silent reports whether nothing has come since the last answer: it would be
// taken for the next one.
func (l *line) silent() bool {
	return l.in.Buffered() == 0 && (l.raw == nil || !pending(l.raw))
}

// head reads up to the answer itself; interim ones are told on the way.
func (l *line) head(r *http.Request) (*http.Response, error) {
	for {
		res, err := http.ReadResponse(l.in, r)
		switch {
		case err != nil:
			return nil, err
		case res.StatusCode < 100: // nobody could pass it on
			return nil, fmt.Errorf("the instance answers with the status %q", res.Status)
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, errUnasked
		case res.StatusCode >= 200:
			return res, nil
		}
		if t := httptrace.ContextClientTrace(r.Context()); t != nil && t.Got1xxResponse != nil {
			if err := t.Got1xxResponse(res.StatusCode, textproto.MIMEHeader(res.Header)); err != nil {
				return nil, err
			}
		}
	}
}

// answerBody gives its line back when it was read to the end.
type answerBody struct {
	io.ReadCloser
	line *line
	pool *direct
	stop func() bool // of what the client's going does
	kept bool        // the instance takes another request
	done bool
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end(err == io.EOF)
	}
	return n, err
}

// Close implements io.Closer. What was not read is not waited for.
func (b *answerBody) Close() error {
	b.end(false)
	return nil
}

func (b *answerBody) end(whole bool) {
	if b.done {
		return
	}
	b.done = true
	if b.stop() && whole && b.kept && b.line.in.Buffered() == 0 {
		b.pool.put(b.line)
		return
	}
	b.line.Close()
}
