package rpc

import (
	"context"
	"io"
	"sync/atomic"
)

// maxWriter is what a pipe with bounded messages has (transport.Pipe). The
// bound may shrink: then the Write that made it shrink has not arrived at all.
type maxWriter interface{ MaxWrite() int }

// defaultWrite is used for pipes without a bound of their own.
const defaultWrite = 2 * (MaxPayload + headerSize)

// sender puts frames on the wire: whole frames per Write, as many as fit, and
// everything else before data, so that a renewal never waits behind a push.
type sender struct {
	w       io.Writer
	ahead   readier      // w, if it is one
	flights []*flight    // under way, at most two
	out     chan *flight // to who makes their Writes
	anew    bool         // the flights before were refused
	wide    atomic.Bool  // lanes take data, too: what is held ready here they could have sent
	piece   int          // payload bytes of one frame, chosen to fill a Write evenly
	pieces  int          // frames that fill a Write
	control chan frame
	data    chan frame
	shared  chan frame    // data that other senders of the connection may take as well
	taken   []frame       // of data, wait for control to be empty
	stopped chan struct{} // closed when nothing is sent any more
	err     error         // why; read after stopped

	calm chan struct{} // holds a token when a push is over
	seq  uint64
	buf  []byte
}

func newSender(w io.Writer, shared chan frame) *sender {
	s := &sender{
		w: w, control: make(chan frame, 16), data: make(chan frame, 1), shared: shared, stopped: make(chan struct{}),
		calm: make(chan struct{}, 1), out: make(chan *flight, 1),
	}
	s.ahead, _ = w.(readier)
	s.pieces = (s.limit() + MaxPayload + headerSize - 1) / (MaxPayload + headerSize)
	s.piece = s.limit()/s.pieces - headerSize
	return s
}

// limit is how many bytes one Write takes now.
func (s *sender) limit() int {
	if m, ok := s.w.(maxWriter); ok && m.MaxWrite() > 0 {
		return max(m.MaxWrite(), 2*headerSize)
	}
	return defaultWrite
}

// send queues frames of one message in order.
func (s *sender) send(ctx context.Context, frames ...frame) error {
	for _, f := range frames {
		if err := s.queue(ctx, s.control, f); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) queue(ctx context.Context, to chan frame, f frame) error {
	select {
	case to <- f:
		return nil
	case <-s.stopped:
		return &BrokenError{Err: s.err}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run writes until ctx ends or a Write fails.
func (s *sender) run(ctx context.Context) {
	defer close(s.stopped)
	if s.ahead != nil {
		go carry(s.out)
		defer close(s.out)
	}
	var batch []frame
	var held *frame // did not fit any more
	for {
		f, err := s.first(ctx, held)
		if err != nil {
			s.err = err
			return
		}
		size := 0
		batch, held = batch[:0], nil
		for more := true; more; f, more = s.poll() {
			if size += f.size(); len(batch) > 0 && size > s.limit() {
				held = &f
				break
			}
			batch = append(batch, f)
		}
		if s.err = s.write(batch); s.err != nil {
			return
		}
		clear(batch) // the payloads are on their way
	}
}

// recut halves the first frame until it fits.
func recut(batch []frame, limit int) []frame {
	for f := batch[0]; f.size() > limit && len(f.payload) > 1; f = batch[0] {
		half := len(f.payload) / 2
		front, back := f, f
		front.payload, front.spent = f.payload[:half], nil
		front.more = f.more || f.kind != kindData
		back.payload, back.offset = f.payload[half:], f.offset+uint64(half)
		batch = append([]frame{front, back}, batch[1:]...)
	}
	return batch
}

// first waits for a frame.
func (s *sender) first(ctx context.Context, held *frame) (frame, error) {
	if held != nil {
		return *held, nil
	}
	for {
		if f, ok := s.poll(); ok {
			return f, nil
		}
		select {
		case f := <-s.control:
			return f, nil
		case f := <-s.data:
			s.load(f)
		case f := <-s.shared:
			s.load(f)
		case <-s.calm:
			s.rest()
		case err := <-s.over():
			refused, err := s.landed(err)
			if err == nil {
				err = s.write(refused)
			}
			if err != nil {
				return frame{}, err
			}
		case <-ctx.Done():
			return frame{}, context.Cause(ctx)
		}
	}
}

// rester is a pipe that keeps memory between Writes, and gives it back.
type rester interface{ Rest() }

// rest gives back what only a push needs: a fleet has many connections, and few
// of them push at a time.
func (s *sender) rest() {
	s.buf, s.taken = nil, nil
	if r, ok := s.w.(rester); ok {
		r.Rest()
	}
}

// relax makes the sender rest as soon as it has nothing to send.
func (s *sender) relax() {
	select {
	case s.calm <- struct{}{}:
	default:
	}
}

// load takes a frame of data with those that fill the Write behind it.
func (s *sender) load(f frame) {
	s.taken = append(append(s.taken[:0], f), f.and...)
}

// poll takes a frame that is there already, control first. A data frame is
// queued after the request it belongs to, so control is looked at once more
// after data was taken: otherwise data could overtake its own request.
func (s *sender) poll() (frame, bool) {
	if f, ok := poll(s.control); ok {
		return f, true
	}
	if len(s.taken) == 0 {
		f, ok := poll(s.data)
		if !ok {
			f, ok = poll(s.shared)
		}
		if !ok {
			return frame{}, false
		}
		s.load(f)
	}
	if f, ok := poll(s.control); ok {
		return f, true
	}
	f := s.taken[0]
	s.taken[0] = frame{} // its bytes are used again, or not at all
	s.taken = s.taken[1:]
	return f, true
}

func poll(from chan frame) (frame, bool) {
	select {
	case f := <-from:
		return f, true
	default:
		return frame{}, false
	}
}
