package winrm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	maxReply   = 4 << 20  // of one answer, in bytes
	maxHeader  = 64 << 10 // of an answer, in bytes
	lastWords  = time.Second
	maxInterim = 4 // answers before the answer
)

// answer is a host's HTTP response, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// linkError is a failed HTTP exchange. sent tells whether any byte of the
// request left, which is whether the host may have acted on it.
type linkError struct {
	err  error
	sent bool
}

func (e *linkError) Error() string { return e.err.Error() }
func (e *linkError) Unwrap() error { return e.err }

// post is one HTTP exchange. It is written and read right here, by nobody
// else's connection pool: what is authenticated is this one connection.
func (l *link) post(ctx context.Context, header http.Header, body []byte) (*answer, error) {
	before, began := l.conn.written.Load(), time.Now()
	a, err := l.roundTrip(ctx, header, body)
	if err != nil {
		return nil, &linkError{err: causeOf(ctx, err), sent: l.conn.written.Load() > before}
	}
	if d := time.Since(began); l.delay == 0 || d < l.delay {
		l.delay = d
	}
	return a, nil
}

func (l *link) roundTrip(ctx context.Context, header http.Header, body []byte) (*answer, error) {
	if l.over {
		return nil, errLinkEnded
	}
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	head, err := l.head(header, len(body))
	if err != nil {
		return nil, err
	}
	parts := net.Buffers{head, body}
	if _, err := parts.WriteTo(l.conn); err != nil {
		return l.refusal(ctx, err)
	}
	if l.seals != nil {
		l.seals.spare.give(body)
	}
	return l.read()
}

// head is the request line and the header.
func (l *link) head(header http.Header, length int) ([]byte, error) {
	u, err := url.Parse(l.url)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: shipper\r\nContent-Length: %d\r\n", u.RequestURI(), u.Host, length)
	if l.basic != "" {
		header.Set("Authorization", l.basic)
	}
	if err := header.Write(&b); err != nil {
		return nil, err
	}
	b.WriteString("\r\n")
	return b.Bytes(), nil
}

// refusal looks whether a host that stopped reading has said why: one that
// takes no such long message says so before its end.
func (l *link) refusal(ctx context.Context, cause error) (*answer, error) {
	if ctx.Err() != nil || l.conn.SetReadDeadline(time.Now().Add(lastWords)) != nil {
		return nil, cause
	}
	a, err := l.read()
	if err != nil || a.status < http.StatusBadRequest {
		return nil, cause
	}
	l.over = true
	return a, nil
}

// read takes the answer to its last byte.
func (l *link) read() (*answer, error) {
	l.incoming.left = maxHeader
	resp, err := http.ReadResponse(l.reader, nil)
	for i := 0; err == nil && resp.StatusCode < http.StatusOK && i < maxInterim; i++ {
		resp, err = http.ReadResponse(l.reader, nil)
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	l.over = resp.Close
	l.incoming.left = maxReply + maxHeader // chunks have headers, too
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err == nil && len(b) > maxReply {
		err = errTooLong
	}
	if err != nil {
		return nil, err
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: b}, nil
}

// limited is what may still come in.
type limited struct {
	r    io.Reader
	left int64
}

var errTooLong = fmt.Errorf("%w: too long", errReply)

func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooLong
	}
	n, err := l.r.Read(b)
	l.left -= int64(n)
	return n, err
}
