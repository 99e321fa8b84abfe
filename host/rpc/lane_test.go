package rpc

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/go-shipper/shipper/release"
)

// lane adds a lane to c that leads to the same handlers; bend may be nil.
func lane(t *testing.T, c *Client, h *Handlers, bend func(io.Writer, []byte) (int, error)) {
	t.Helper()
	near, far := sockets(t)
	serve(t, far, h)
	if err := c.Lane(&pipe{Conn: near, max: 100 << 10, bend: bend}); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, n int) ([]byte, Put) {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b, Put{Digest: release.Of(b), Size: int64(n), Encoded: int64(n)}
}

// What comes over several lanes at once, each thing twice, is whole and in
// order, and the lanes did work.
func TestLanesCarryAPush(t *testing.T) {
	near, far := sockets(t)
	var got bytes.Buffer
	h := putHandlers(&got)
	serve(t, far, h)
	c := dial(t, &pipe{Conn: near, max: 100 << 10, bend: twice})
	var carried atomic.Int64
	for range 3 {
		lane(t, c, h, func(w io.Writer, b []byte) (int, error) {
			carried.Add(int64(len(b)))
			return twice(w, b)
		})
	}
	want, put := content(t, 3*Window) // the first window may have left before the host said that it waits
	reply, err := c.Put(context.Background(), put, bytes.NewReader(want))
	if err != nil || !reply.Complete || !bytes.Equal(got.Bytes(), want) {
		t.Fatalf("%+v, %v, %d bytes", reply, err, got.Len())
	}
	if carried.Load() < 1<<20 {
		t.Errorf("the lanes carried %d bytes only", carried.Load())
	}
	if c.window.used != 0 {
		t.Errorf("%d bytes of the window are lost", c.window.used)
	}
}

// A lane that breaks takes the connection with it: nobody knows what was lost
// on it. What arrived is a good beginning.
func TestBrokenLane(t *testing.T) {
	for name, far := range map[string]bool{"here": false, "there": true} {
		t.Run(name, func(t *testing.T) {
			a, b := sockets(t)
			var got bytes.Buffer
			h := putHandlers(&got)
			ended := serve(t, b, h)
			c := dial(t, a)
			near, end := sockets(t)
			serve(t, end, h)
			var seen atomic.Int64
			err := c.Lane(&pipe{Conn: near, max: 100 << 10, bend: func(w io.Writer, b []byte) (int, error) {
				if seen.Add(int64(len(b))) < 1<<20 {
					return w.Write(b)
				}
				if !far {
					return 0, errors.New("cable cut")
				}
				end.Close() // swallowed, and nobody says so
				return len(b), nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			want, put := content(t, 16<<20)
			var broken *BrokenError
			if _, err := c.Put(context.Background(), put, bytes.NewReader(want)); !errors.As(err, &broken) {
				t.Fatalf("got %v", err)
			}
			<-ended
			if !bytes.Equal(got.Bytes(), want[:got.Len()]) {
				t.Error("what arrived is not the beginning of the content")
			}
		})
	}
}

// A lane of a connection that there is not is refused.
func TestLaneOfNobody(t *testing.T) {
	near, far := sockets(t)
	ended := serve(t, far, handlers())
	c := &Client{out: newSender(io.Discard, nil), conn: near, name: "nobody", shared: make(chan frame), done: make(chan struct{}), stop: func(error) {}}
	if err := c.Lane(near); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrProtocol) {
		t.Errorf("served: %v", err)
	}
	c.fail(ErrClosed)
}

// A host that takes less than it said gets the same frames in smaller pieces.
func TestPipeThatTakesLess(t *testing.T) {
	near, far := sockets(t)
	var got bytes.Buffer
	serve(t, far, putHandlers(&got))
	w := &narrowing{Conn: near, max: 380_000, really: 50_000}
	c, _, err := Dial(context.Background(), w, Hello{Protocol: Protocol})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want, put := content(t, 3<<20)
	if _, err := c.Put(context.Background(), put, bytes.NewReader(want)); err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Fatal(err)
	}
	if w.refused == 0 || w.refused > 3 {
		t.Errorf("%d writes were refused, want at most 3: each halves the bound", w.refused)
	}
}

// Memory that only pushes need is given back when none is under way: a fleet
// has many connections.
func TestRestAfterAPush(t *testing.T) {
	near, far := sockets(t)
	var got bytes.Buffer
	h := putHandlers(&got)
	serve(t, far, h)
	rested := make(chan struct{}, 1)
	c := dial(t, &resting{pipe{Conn: near, max: 100 << 10}, rested})
	want, put := content(t, 1<<20)
	if _, err := c.Put(context.Background(), put, bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	<-rested
	got.Reset() // the host begins with nothing
	again, put := content(t, 1<<20)
	if _, err := c.Put(context.Background(), put, bytes.NewReader(again)); err != nil {
		t.Errorf("push after a rest: %v", err)
	}
	if !bytes.Equal(got.Bytes(), again) {
		t.Error("after a rest other bytes come")
	}
}

// resting tells when it may give memory back.
type resting struct {
	pipe
	rested chan struct{}
}

func (r *resting) Rest() {
	select {
	case r.rested <- struct{}{}:
	default:
	}
}

// narrowing halves its bound whenever it refuses a Write.
type narrowing struct {
	net.Conn
	max, really, refused int
}

func (n *narrowing) MaxWrite() int { return n.max }

func (n *narrowing) Write(b []byte) (int, error) {
	if len(b) > n.really {
		n.refused++
		n.max = len(b) / 2
		return 0, errors.New("too large")
	}
	return n.Conn.Write(b)
}

// A sender that has nothing to do keeps nobody's bytes.
func TestSenderForgetsWhatWasTaken(t *testing.T) {
	s := newSender(io.Discard, nil)
	load := frame{kind: kindData, payload: make([]byte, 8), and: []frame{{kind: kindData, payload: make([]byte, 8), spent: func() {}}}}
	s.load(load)
	kept := s.taken
	for range 2 {
		if f, ok := s.poll(); !ok || len(f.payload) != 8 {
			t.Fatalf("%+v, %v", f, ok)
		}
	}
	for _, f := range kept {
		if f.payload != nil || f.spent != nil || f.and != nil {
			t.Errorf("kept %+v", f)
		}
	}
}
