package rpc

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// ackEvery is how many consumed bytes are acknowledged together: few enough
// that the window never runs dry, many enough that acks cost nothing.
const ackEvery = Window / 4

// intake is the reader behind a put: frames in, bytes out.
type intake struct {
	ctx    context.Context
	server *server
	stream uint32
	end    int64 // Put.Encoded
	brief  bool

	mu     sync.Mutex
	pieces [][]byte
	early  map[uint64][]byte // by offset: a lane was faster
	next   int64             // offset of the next frame
	ready  chan struct{}     // holds a token when pieces may have arrived

	read  int64 // offset of the next byte to read
	acked int64
}

func newIntake(ctx context.Context, s *server, stream uint32, p Put) *intake {
	return &intake{
		ctx: ctx, server: s, stream: stream, end: p.Encoded, brief: p.Brief,
		next: p.Offset, read: p.Offset, acked: p.Offset, ready: make(chan struct{}, 1),
	}
}

// add queues a frame; it never blocks, because the window bounds the queue.
// Only lanes may bring a frame before its turn.
func (i *intake) add(f frame, lanes bool) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	end := f.offset + uint64(len(f.payload))
	if _, twice := i.early[f.offset]; twice || len(f.payload) == 0 || !lanes && f.offset != uint64(i.next) || f.offset < uint64(i.next) || end < f.offset || end > uint64(i.end) {
		return fmt.Errorf("%w: data at %d, want %d of %d", ErrProtocol, f.offset, i.next, i.end)
	}
	if f.offset > uint64(i.next) {
		if i.early == nil {
			i.early = map[uint64][]byte{}
		}
		i.early[f.offset] = f.payload
		return nil
	}
	for piece, ok := f.payload, true; ok; piece, ok = i.early[uint64(i.next)] {
		delete(i.early, uint64(i.next))
		i.pieces = append(i.pieces, piece)
		i.next += int64(len(piece))
	}
	select {
	case i.ready <- struct{}{}:
	default:
	}
	return nil
}

// whole tells whether all data has arrived.
func (i *intake) whole() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.next >= i.end
}

// Read implements io.Reader for the handler; one goroutine reads.
func (i *intake) Read(p []byte) (int, error) {
	if i.read >= i.end {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if n := i.take(p); n > 0 {
			i.consume(n)
			return n, nil
		}
		select {
		case <-i.ready:
		case <-i.ctx.Done():
			return 0, context.Cause(i.ctx)
		}
	}
}

func (i *intake) take(p []byte) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.pieces) == 0 {
		return 0
	}
	n := copy(p, i.pieces[0])
	if i.pieces[0] = i.pieces[0][n:]; len(i.pieces[0]) == 0 {
		i.pieces = i.pieces[1:]
	}
	return n
}

func (i *intake) consume(n int) {
	i.read += int64(n)
	tell := i.read-i.acked >= ackEvery
	if tell {
		i.acked = i.read
	}
	i.server.consumed(i.stream, n, i.read, tell)
}

// drop forgets what was not read and returns how much that was.
func (i *intake) drop() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	var n int64
	for _, p := range i.pieces {
		n += int64(len(p))
	}
	for _, p := range i.early {
		n += int64(len(p))
	}
	i.pieces, i.early = nil, nil
	return n
}
