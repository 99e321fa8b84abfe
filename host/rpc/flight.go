package rpc

import (
	"errors"
	"slices"
)

// readier is a pipe that can make a Write ready while the one before it is
// under way: on a wire that waits for an answer to each, half of the work is
// done meanwhile. b may change once Ready has returned. Until a Write is over
// at most one more is made ready.
type readier interface {
	Ready(b []byte) (write func() error)
}

// flight is a Write that is ready, or under way.
type flight struct {
	frames []frame
	seq    uint64 // of the first
	limit  int    // of a Write, when it was made
	write  func() error
	anew   bool       // the first one after others were refused
	over   chan error // holds a token when it is
}

// errBehind is the end of a flight behind one that failed.
var errBehind = errors.New("a write before this one failed")

// carry makes the Writes of flights, one after another, at once.
func carry(flights <-chan *flight) {
	failed := false
	for f := range flights {
		if failed && !f.anew {
			f.over <- errBehind
			continue
		}
		err := f.write()
		failed = err != nil
		f.over <- err
	}
}

// write sends frames, in smaller pieces if the pipe takes less than it said.
// With a pipe that allows it the last Writes are still under way afterwards.
func (s *sender) write(batch []frame) error {
	for len(batch) > 0 {
		deep := s.ahead != nil && !s.wide.Load()
		refused, err := s.land(deep)
		if err != nil {
			return err
		}
		batch = recut(append(refused, batch...), s.limit())
		batch = s.launch(batch, deep)
		if deep {
			continue
		}
		if refused, err = s.land(false); err != nil {
			return err
		}
		batch = append(refused, batch...)
	}
	return nil
}

// launch sends as many frames as fit a Write, and gives the others.
func (s *sender) launch(batch []frame, deep bool) []frame {
	f := &flight{seq: s.seq, limit: s.limit(), anew: s.anew, over: make(chan error, 1)}
	s.anew = false
	n, next := s.fill(batch, f.limit)
	f.frames, s.seq = slices.Clone(batch[:n]), next
	s.flights = append(s.flights, f)
	if deep {
		f.write = s.ahead.Ready(s.buf)
		s.out <- f
	} else {
		_, err := s.w.Write(s.buf)
		f.over <- err
	}
	return batch[n:]
}

// fill puts as many frames into the buffer as fit, and tells how many, and the
// number of the one after them.
func (s *sender) fill(batch []frame, limit int) (n int, next uint64) {
	next, s.buf = s.seq, s.buf[:0]
	for n < len(batch) && (n == 0 || len(s.buf)+batch[n].size() <= limit) {
		s.buf = appendFrame(s.buf, next, batch[n])
		next++
		n++
	}
	return n, next
}

// land waits for the Writes under way, or for all but one.
func (s *sender) land(butOne bool) (refused []frame, err error) {
	for len(s.flights) > 0 && (!butOne || len(s.flights) > 1) {
		if refused, err = s.landed(<-s.flights[0].over); refused != nil || err != nil {
			break
		}
	}
	return refused, err
}

// landed is the end of the first Write under way. Of one that was too long for
// the pipe nothing has arrived, and those behind it were not made: their frames
// go once more, by their old numbers.
func (s *sender) landed(err error) (refused []frame, _ error) {
	first, behind := s.flights[0], s.flights[1:]
	if err == nil {
		for _, f := range first.frames {
			f.done()
		}
		*first = flight{} // the list may keep it, and must not keep what was sent
		s.flights = append(s.flights[:0], behind...)
		return nil, nil
	}
	if s.limit() >= first.limit {
		return nil, err
	}
	refused = first.frames
	for _, f := range behind {
		<-f.over
		refused = append(refused, f.frames...)
	}
	s.seq, s.flights, s.anew = first.seq, nil, true
	return refused, nil
}

// over is where the end of the first Write under way is told; nil: none is.
func (s *sender) over() <-chan error {
	if len(s.flights) == 0 {
		return nil
	}
	return s.flights[0].over
}
