package rpc

import (
	"context"
	"io"
)

// maxWriter is what a pipe with bounded messages has (transport.Pipe).
type maxWriter interface{ MaxWrite() int }

// defaultWrite is used for pipes without a bound of their own.
const defaultWrite = 2 * (MaxPayload + headerSize)

// sender puts frames on the wire: whole frames per Write, as many as fit, and
// everything else before data, so that a renewal never waits behind a push.
type sender struct {
	w       io.Writer
	max     int // bytes of one Write
	piece   int // payload bytes of one frame, chosen to fill a Write evenly
	control chan frame
	data    chan frame
	taken   *frame        // of data, waits for control to be empty
	stopped chan struct{} // closed when nothing is sent any more
	err     error         // why; read after stopped
}

func newSender(w io.Writer) *sender {
	limit := defaultWrite
	if m, ok := w.(maxWriter); ok && m.MaxWrite() > 0 {
		limit = max(m.MaxWrite(), 2*headerSize)
	}
	frames := (limit + MaxPayload + headerSize - 1) / (MaxPayload + headerSize)
	return &sender{
		w: w, max: limit, piece: limit/frames - headerSize,
		control: make(chan frame, 16), data: make(chan frame, 2), stopped: make(chan struct{}),
	}
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

// sendData queues one data frame; it waits while the wire is busy.
func (s *sender) sendData(ctx context.Context, f frame) error { return s.queue(ctx, s.data, f) }

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
	buf := make([]byte, 0, s.max)
	var seq uint64
	var held *frame // did not fit any more
	for {
		f, err := s.first(ctx, held)
		if err != nil {
			s.err = err
			return
		}
		buf, held = buf[:0], nil
		for more := true; more; f, more = s.poll() {
			if len(buf) > 0 && len(buf)+f.size() > s.max {
				held = &f
				break
			}
			buf = appendFrame(buf, seq, f)
			seq++
		}
		if _, err := s.w.Write(buf); err != nil {
			s.err = err
			return
		}
	}
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
			s.taken = &f
		case <-ctx.Done():
			return frame{}, context.Cause(ctx)
		}
	}
}

// poll takes a frame that is there already, control first. A data frame is
// queued after the request it belongs to, so control is looked at once more
// after data was taken: otherwise data could overtake its own request.
func (s *sender) poll() (frame, bool) {
	if f, ok := poll(s.control); ok {
		return f, true
	}
	if s.taken == nil {
		f, ok := poll(s.data)
		if !ok {
			return frame{}, false
		}
		s.taken = &f
	}
	if f, ok := poll(s.control); ok {
		return f, true
	}
	f := *s.taken
	s.taken = nil
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
