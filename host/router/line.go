package router

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"syscall"
	"time"
)

const (
	requestBuffer = 4 << 10               // bytes; of a request without a body
	firstMoment   = 50 * time.Millisecond // in which nearly every answer has come
)

var (
	errHeaderTooLong = fmt.Errorf("the instance's answer has more than %d bytes of headers", maxHeader)
	errUnasked       = errors.New("the instance changed the protocol without being asked")
)

// line is a connection to an instance that one request has at a time.
type line struct {
	*conn
	in    *bufio.Reader
	out   []byte          // where requests are written together
	raw   syscall.RawConn // nil: it cannot be looked at
	since time.Time       // when it was used last

	// Of the request that has it.
	ctx      context.Context
	asked    time.Time
	stop     func() bool // of what its client's going does; nil in the first moment
	left     int64       // bytes that may still be read
	heard    bool        // something of the answer has come
	answered bool        // its head has come
}

// begin gives the line to a request. That a client leaves, and the time that
// an answer may take, are watched only from the end of the first moment on:
// until then it would cost more than what it saves.
func (l *line) begin(ctx context.Context, moment time.Duration) error {
	l.ctx, l.asked, l.stop = ctx, time.Now(), nil
	l.left, l.heard, l.answered = maxHeader+bufferSize, false, false
	return l.SetDeadline(l.asked.Add(moment))
}

// goesOn reports whether err says no more than that the first moment is over.
func (l *line) goesOn(err error) bool {
	if l.stop != nil || !isTimeout(err) {
		return false
	}
	l.stop = context.AfterFunc(l.ctx, func() { l.Close() })
	var until time.Time // bodies may be as slow as they like
	if !l.answered {
		until = l.asked.Add(headerTimeout)
	}
	return l.SetDeadline(until) == nil
}

// unwatch takes the line back from its request. False: its client left, and
// the line is closed.
func (l *line) unwatch() bool { return l.stop == nil || l.stop() }

// silent reports whether nothing has come since the last answer: it would be
// taken for the next one.
func (l *line) silent() bool {
	return l.in.Buffered() == 0 && (l.raw == nil || !pending(l.raw))
}

// Read keeps the answer's head within its bound.
func (l *line) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errHeaderTooLong
	}
	for {
		n, err := l.conn.Read(p[:min(int64(len(p)), l.left)])
		if n > 0 || !l.goesOn(err) {
			l.left -= int64(n)
			l.heard = l.heard || n > 0
			return n, err
		}
	}
}

func (l *line) send(p []byte) error {
	for {
		n, err := l.conn.Write(p)
		if err == nil || !l.goesOn(err) {
			return err
		}
		p = p[n:]
	}
}

// ask sends the request and reads the answer's head.
func (l *line) ask(w http.ResponseWriter, r *http.Request) (*http.Response, error) {
	l.out = appendRequest(l.out[:0], r)
	err := l.send(l.out)
	if cap(l.out) > requestBuffer {
		l.out = nil
	}
	if err != nil {
		return nil, err
	}
	res, err := l.head(w, r)
	if err != nil {
		return nil, err
	}
	l.left, l.answered = math.MaxInt64, true
	if l.stop != nil {
		err = l.SetDeadline(time.Time{})
	}
	return res, err
}

// head reads up to the answer itself; interim ones are passed on.
func (l *line) head(w http.ResponseWriter, r *http.Request) (*http.Response, error) {
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
		passInterim(w, res)
	}
}
