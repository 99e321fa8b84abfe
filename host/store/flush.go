package store

import "os"

// flushEvery is how many written bytes go to the disk together.
const flushEvery = 4 << 20

// flusher brings to the disk what was written, beside the writing of more:
// the last flush, for which a push waits, has little left to do. It has a
// handle of its own, because Windows does one thing at a time on each.
type flusher struct {
	f       *os.File
	written int
	wanted  chan struct{} // holds a token while there is something to flush
	ended   chan struct{}
}

func flushing(f *os.File) *flusher {
	return &flusher{f: f}
}

// Write counts.
func (b *flusher) Write(p []byte) (int, error) {
	if b.written += len(p); b.written >= flushEvery {
		b.written = 0
		b.want()
	}
	return len(p), nil
}

func (b *flusher) want() {
	if b.wanted == nil {
		b.wanted, b.ended = make(chan struct{}, 1), make(chan struct{})
		go b.run()
	}
	select {
	case b.wanted <- struct{}{}:
	default: // it will see this, too
	}
}

func (b *flusher) run() {
	defer close(b.ended)
	own, err := os.OpenFile(b.f.Name(), os.O_WRONLY, 0)
	if err != nil {
		return // the last flush does it all
	}
	defer own.Close()
	for range b.wanted {
		_ = own.Sync() // the last flush tells of the same failure
	}
}

// end flushes all, and tells what could not be flushed.
func (b *flusher) end() error {
	if b.wanted != nil {
		close(b.wanted)
		<-b.ended
	}
	return b.f.Sync()
}
