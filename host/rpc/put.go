package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
)

// Put sends one content. r gives its encoded bytes from p.Offset on, exactly
// p.Encoded - p.Offset of them. After a cut ask Have where to go on.
func (c *Client) Put(ctx context.Context, p Put, r io.Reader) (PutReply, error) {
	var reply PutReply
	id, call := c.open(true)
	p.Brief = p.Encoded-p.Offset < int64(c.out.limit())
	call.acked = uint64(p.Offset)
	if err := c.request(ctx, id, MethodPut, p); err != nil {
		c.abandon(id)
		return reply, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	sent := make(chan error, 1)
	go func() {
		err := c.feed(ctx, id, call, p, r)
		if err != nil {
			stop(err) // the host would wait for bytes that never come
		}
		sent <- err
	}()
	payload, err := c.wait(ctx, id, call)
	stop(io.ErrClosedPipe) // answered: whatever is not sent yet is not wanted
	<-sent
	c.relax()
	if err != nil {
		return reply, err
	}
	if err := json.Unmarshal(payload, &reply); err != nil {
		return reply, fmt.Errorf("decode reply to %s: %w", MethodPut, err)
	}
	return reply, nil
}

// relax gives back the memory of pushes when none is under way.
func (c *Client) relax() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.calls {
		if p.put {
			return
		}
	}
	for _, s := range append(c.senders, c.out) {
		s.relax()
	}
}

// feed cuts r into data frames, never more than the window ahead of the host.
// Those that fill a Write travel together: half a message costs as long a wait
// as a whole one. Once the host waits for them, any lane may take the next.
func (c *Client) feed(ctx context.Context, id uint32, call *pending, p Put, r io.Reader) error {
	spare := make(chan []byte, spareLoads)
	full := min(int64(c.out.piece*c.out.pieces), Window/4)
	for at := p.Offset; at < p.Encoded; {
		load := memory(spare, int(min(full, p.Encoded-at)))
		if _, err := io.ReadFull(r, load); err != nil {
			return fmt.Errorf("read content %s at %d of %d: %w", p.Digest.Short(), at, p.Encoded, err)
		}
		if err := c.take(ctx, id, call, int64(len(load))); err != nil {
			return err
		}
		frames := c.loaded(id, at, load)
		frames[len(frames)-1].spent = func() {
			select {
			case spare <- load:
			default:
			}
		}
		frames[0].and = frames[1:]
		if err := c.out.queue(ctx, c.way(call), frames[0]); err != nil {
			return err
		}
		at += int64(len(load))
	}
	return nil
}

// loaded cuts a load into frames.
func (c *Client) loaded(id uint32, at int64, load []byte) []frame {
	var frames []frame
	for piece := range slices.Chunk(load, c.out.piece) {
		frames = append(frames, frame{kind: kindData, stream: id, offset: uint64(at), payload: piece})
		at += int64(len(piece))
	}
	return frames
}

// spareLoads is as many as can be under way at a time on all lanes.
const spareLoads = 2 * maxLanes

// memory is for n bytes: that of a frame which is sent, or new.
func memory(spare <-chan []byte, n int) []byte {
	select {
	case b := <-spare:
		if cap(b) >= n {
			return b[:n]
		}
	default:
	}
	return make([]byte, n)
}

// way is the queue for the next frame of a put: our own connection's, behind
// the request, until the host knows the put.
func (c *Client) way(call *pending) chan frame {
	select {
	case <-call.begun:
		return c.shared
	default:
		return c.out.data
	}
}

// take gets room in the window and books it on the call, so that it comes
// back with the acknowledgement or with the call's end.
func (c *Client) take(ctx context.Context, id uint32, call *pending, n int64) error {
	if err := c.window.take(ctx, n); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[id] != call {
		c.window.give(n)
		return io.ErrClosedPipe
	}
	call.sent += n
	return nil
}

// window bounds the bytes in flight on a connection.
type window struct {
	mu   sync.Mutex
	used int64
	wake chan struct{} // closed and replaced when room appears
}

func (w *window) take(ctx context.Context, n int64) error {
	for {
		w.mu.Lock()
		if w.used+n <= Window {
			w.used += n
			w.mu.Unlock()
			return nil
		}
		if w.wake == nil {
			w.wake = make(chan struct{})
		}
		wake := w.wake
		w.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *window) give(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used -= n
	if w.wake != nil {
		close(w.wake)
		w.wake = nil
	}
}
