package log

import (
	"io"
	"sync"
	"time"
)

const (
	defaultBuffer  = 8 << 20
	defaultMaxWait = 100 * time.Millisecond
	// gather is how long lines are gathered after a write. The first line after
	// a quiet time goes out at once, and so does everything before an error.
	gather = 5 * time.Millisecond
)

// writer takes lines into a buffer, and hands the buffer to out from a
// goroutine of its own. There are two: one fills while the other is written.
type writer struct {
	out     io.Writer
	limit   int // of a buffer; also of one line
	policy  Policy
	maxWait time.Duration
	lost    func(n uint64) []byte // the line that tells of dropped ones

	mu       sync.Mutex
	buf      []byte
	spare    []byte
	taken    uint64     // lines so far
	finished uint64     // of these, those that a write has returned for
	wrote    *sync.Cond // finished grew
	failed   uint64     // writes
	waits    uint64
	dropped  uint64
	told     uint64        // of the dropped, those that a line told of
	room     chan struct{} // closed when buf was taken away; nil if nobody waits
	unsaid   error         // of writes since the last flush
	lostTo   uint64        // taken lines whose write failed
	closed   bool

	wake  chan struct{} // there is something; capacity 1
	hurry chan struct{} // do not gather; capacity 1
	done  chan struct{}
}

func newWriter(out io.Writer, o Options) *writer {
	w := &writer{out: out, limit: o.Buffer / 2, policy: o.Full, maxWait: o.MaxWait,
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), done: make(chan struct{})}
	if o.Buffer == 0 {
		w.limit = defaultBuffer / 2
	}
	if o.MaxWait == 0 {
		w.maxWait = defaultMaxWait
	}
	w.wrote = sync.NewCond(&w.mu)
	return w
}

// add takes a line, or drops it.
func (w *writer) add(line []byte, urgent bool) {
	w.mu.Lock()
	if w.full(line) && w.policy == Block && len(line) <= w.limit {
		w.await(line)
	}
	if w.closed || w.full(line) {
		w.dropped++
		w.mu.Unlock()
		return
	}
	before := len(w.buf)
	w.buf = append(w.buf, line...)
	w.taken++
	halfFull := before <= w.limit/2 && len(w.buf) > w.limit/2
	w.mu.Unlock()
	if before == 0 {
		notify(w.wake)
	}
	if urgent || halfFull {
		notify(w.hurry)
	}
}

func (w *writer) full(line []byte) bool { return len(w.buf)+len(line) > w.limit }

// await waits for room, with w.mu locked before and after, but not meanwhile.
func (w *writer) await(line []byte) {
	w.waits++
	timer := time.NewTimer(w.maxWait)
	defer timer.Stop()
	for late := false; !late && !w.closed && w.full(line); {
		if w.room == nil {
			w.room = make(chan struct{})
		}
		room := w.room
		w.mu.Unlock()
		select {
		case <-room:
		case <-timer.C:
			late = true
		}
		w.mu.Lock()
	}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it knows already
	}
}

func (w *writer) run() {
	defer close(w.done)
	timer := time.NewTimer(gather)
	defer timer.Stop()
	for range w.wake {
		for w.turn() {
			timer.Reset(gather)
			select {
			case <-timer.C:
			case <-w.hurry:
			}
		}
		if w.finishedForGood() {
			return
		}
	}
}

// turn writes what there is, and reports false if there was nothing.
func (w *writer) turn() bool {
	w.mu.Lock()
	if n := w.dropped - w.told; n > 0 {
		w.buf = append(w.buf, w.lost(n)...)
		w.told = w.dropped
		w.taken++
	}
	if len(w.buf) == 0 {
		w.mu.Unlock()
		return false
	}
	batch, taken := w.buf, w.taken
	w.buf = w.spare[:0]
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
	w.mu.Unlock()
	_, err := w.out.Write(batch)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failed++
		w.lostTo += taken - w.finished
		w.unsaid = err
	}
	w.spare, w.finished = batch, taken
	w.wrote.Broadcast()
	return true
}

func (w *writer) finishedForGood() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed && len(w.buf) == 0
}

// flush waits for the lines that were taken before, not for later ones.
func (w *writer) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	notify(w.hurry)
	for until := w.taken; w.finished < until; {
		w.wrote.Wait()
	}
	err := w.unsaid
	w.unsaid = nil
	return err
}

func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
	w.mu.Unlock()
	notify(w.wake)
	notify(w.hurry)
	<-w.done
	return w.flush()
}

func (w *writer) stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Stats{Lines: w.finished - w.lostTo, Dropped: w.dropped, Failed: w.failed, Waits: w.waits}
}
