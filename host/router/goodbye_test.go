package router

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
)

// frameOf is a frame as servers send it.
func frameOf(op byte, size int) []byte {
	head := []byte{0x80 | op}
	switch {
	case size < 126:
		head = append(head, byte(size))
	case size < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(size))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(size))
	}
	return append(head, bytes.Repeat([]byte{op}, size)...)
}

// TestGoodbyeComesBetweenFrames says goodbye at every byte of three frames,
// which come in pieces of different sizes.
func TestGoodbyeComesBetweenFrames(t *testing.T) {
	t.Parallel()
	all := [][]byte{frameOf(1, 5), frameOf(2, 200), frameOf(1, 0), frameOf(2, 3)}
	sent := bytes.Join(all, nil)
	for _, piece := range []int{1, 3, 64, len(sent)} {
		for at := 0; at <= len(sent); at++ {
			got := written(t, sent, at, piece)
			want, end := []byte(nil), 0
			for _, f := range all {
				if end += len(f); end-len(f) < roundUp(at, piece) {
					want = append(want, f...)
				}
			}
			want = append(want, serviceRestart()...)
			if !bytes.Equal(got, want) {
				t.Fatalf("goodbye at %d in pieces of %d: %x, want %x", at, piece, got, want)
			}
		}
	}
}

// roundUp: a goodbye comes between two writes.
func roundUp(at, piece int) int { return (at + piece - 1) / piece * piece }

// written is what a client gets of sent when goodbye is said after at bytes.
func written(t *testing.T, sent []byte, at, piece int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := &websocket{stream: &fakeStream{out: &out}}
	for i := 0; i < len(sent) || i < at; i += piece {
		if i >= at && !w.asked {
			w.goodbye()
		}
		p := sent[i:min(i+piece, len(sent))]
		if n, err := w.Write(p); n != len(p) || err != nil {
			t.Fatalf("wrote %d of %d, %v", n, len(p), err)
		}
	}
	if !w.asked {
		w.goodbye()
	}
	return out.Bytes()
}

type fakeStream struct {
	net.TCPConn
	out io.Writer
}

func (f *fakeStream) Write(p []byte) (int, error) { return f.out.Write(p) }

func TestNothingFollowsTheInstancesOwnGoodbye(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := &websocket{stream: &fakeStream{out: &out}}
	own := frameOf(opcodeClose, 2)
	if _, err := w.Write(own); err != nil {
		t.Fatal(err)
	}
	w.goodbye()
	if !bytes.Equal(out.Bytes(), own) {
		t.Errorf("%x, want %x", out.Bytes(), own)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x81, 2, 'h', 'i', 0x88, 0}, uint8(1))
	f.Add([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3, 4, 9, 9, 9}, uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, piece uint8) {
		var whole, parts frames
		for p := data; len(p) > 0; {
			n := whole.advance(p)
			if n <= 0 {
				t.Fatal("it does not get on")
			}
			p = p[n:]
		}
		for i := 0; i < len(data); {
			n := parts.advance(data[i:min(i+int(piece)+1, len(data))])
			if n <= 0 {
				t.Fatal("it does not get on")
			}
			i += n
		}
		if whole != parts {
			t.Errorf("at once %+v, in parts %+v", whole, parts)
		}
	})
}

// TestLateWebSocketIsToldToGo: its upgrade was on its way when the others were told.
func TestLateWebSocketIsToldToGo(t *testing.T) {
	t.Parallel()
	s := newConns("", &env{})
	s.goodbye(0, nil)
	here, there := net.Pipe()
	defer there.Close()
	s.adopt(&websocket{stream: pipeStream{here}})
	got := make([]byte, len(serviceRestart()))
	if _, err := io.ReadFull(there, got); err != nil || !bytes.Equal(got, serviceRestart()) {
		t.Errorf("%x, %v", got, err)
	}
}

type pipeStream struct{ net.Conn }

func (pipeStream) CloseWrite() error { return nil }
