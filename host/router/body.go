package router

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
)

// replayable is how much of a request's body is kept for a second try. What
// a transport has read when its first write fails fits into one write buffer.
const replayable = bufferSize + 4<<10

var errNotReplayable = errors.New("the body was read already")

// body is a client's request body that can be sent again from the start as
// long as little of it was read, and that knows whether the client broke it.
type body struct {
	client io.ReadCloser

	mu     sync.Mutex
	head   []byte // all that was read, while it fits
	lost   bool   // more was read than head holds
	broken bool   // the client failed to deliver it
	ended  bool   // the request is over: a late reader gets nothing
}

// Read reads on where the last attempt stopped.
func (b *body) Read(p []byte) (int, error) {
	if b.isEnded() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.client.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.head)+n > replayable {
		b.lost, b.head = true, nil
	}
	if !b.lost {
		b.head = append(b.head, p[:n]...)
	}
	if err != nil && err != io.EOF {
		b.broken = true
	}
	return n, err
}

// Close leaves the client's body to the server, which closes it at the end of
// the request; until then a second attempt may want it.
func (b *body) Close() error { return nil }

// again is the GetBody of a transport: the body from the start.
func (b *body) again() (io.ReadCloser, error) { return b, b.rewind() }

// rewind makes the next Read start over. No body is always at its start.
func (b *body) rewind() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost || b.broken {
		return errNotReplayable
	}
	if len(b.head) > 0 {
		b.client = rest{io.MultiReader(bytes.NewReader(b.head), b.client), b.client}
		b.head = nil
	}
	return nil
}

// end keeps a transport that is late from reading on after the handler.
func (b *body) end() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
}

func (b *body) isEnded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended
}

func (b *body) isBroken() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.broken
}

// rest reads what an earlier attempt had read, and then the client's body.
type rest struct {
	io.Reader
	io.Closer
}
