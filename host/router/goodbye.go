package router

import (
	"encoding/binary"
	"sync"
	"time"
)

const (
	opcodeClose  = 8
	closeTimeout = 2 * time.Second // for a goodbye to a client that does not read
)

// serviceRestart is a close frame of a WebSocket with the status that lets
// clients connect again, 1012 of RFC 6455's registry.
func serviceRestart() []byte { return []byte{0x80 | opcodeClose, 2, 1012 >> 8, 1012 & 0xff} }

// websocket is the client's end of a WebSocket. It follows the frames that go
// there, so that a goodbye can be put between two of them.
type websocket struct {
	stream

	mu    sync.Mutex
	frame frames
	asked bool // a goodbye shall be said
	said  bool // one was, by whomever: nothing may follow it
}

// Write passes frames on. After a goodbye what the instance says is dropped;
// the client's answer still reaches it, and ends the connection.
func (w *websocket) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	pass := 0
	for pass < len(p) && !w.said {
		if w.asked && w.frame.between() {
			break
		}
		pass += w.frame.advance(p[pass:])
		w.said = w.frame.closed && w.frame.between()
	}
	if n, err := w.stream.Write(p[:pass]); err != nil {
		return n, err
	}
	if w.asked && !w.said && w.frame.between() {
		w.said = true
		if _, err := w.stream.Write(serviceRestart()); err != nil {
			return pass, err
		}
	}
	return len(p), nil
}

// goodbye is said at once, or behind the frame that is on its way.
func (w *websocket) goodbye() {
	_ = w.stream.SetWriteDeadline(time.Now().Add(closeTimeout)) // one that does not read may hold the lock
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = true
	if !w.said && w.frame.between() {
		w.said = true
		_, _ = w.stream.Write(serviceRestart()) // its end comes in any case
	}
}

// frames follows the frames of one direction.
type frames struct {
	head   [14]byte // of the next frame, as far as it came
	got    int
	left   uint64 // bytes of the payload that are still to come
	closed bool   // the last one that began is a goodbye
}

// between reports whether the last frame is over and the next did not begin.
func (f *frames) between() bool { return f.got == 0 && f.left == 0 }

// advance takes bytes of one header or of one payload and tells how many.
func (f *frames) advance(p []byte) int {
	if f.left > 0 {
		n := min(uint64(len(p)), f.left)
		f.left -= n
		return int(n)
	}
	n := copy(f.head[f.got:f.size()], p)
	f.got += n
	if f.got == f.size() { // it may have grown by what was read
		f.closed = f.head[0]&0x0f == opcodeClose
		f.left, f.got = f.length(), 0
	}
	return n
}

// size of the header, as far as it is known.
func (f *frames) size() int {
	if f.got < 2 {
		return 2
	}
	size := 2
	switch f.head[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.head[1]&0x80 != 0 {
		size += 4
	}
	return size
}

func (f *frames) length() uint64 {
	switch n := f.head[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.head[2:]) &^ (1 << 63)
	default:
		return uint64(n)
	}
}
