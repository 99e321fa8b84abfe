package rpc

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
)

// forward is a pipe that makes a Write ready while another is under way. From
// some byte on it takes less than it said, or nothing any more.
type forward struct {
	net.Conn
	max     atomic.Int64
	written atomic.Int64
	narrow  int64 // from this byte on a Write has 50,000 at most
	cut     int64 // from this byte on every Write fails
	under   atomic.Int32
	refused atomic.Int32
}

func newForward(conn net.Conn, narrow, cut int64) *forward {
	f := &forward{Conn: conn, narrow: narrow, cut: cut}
	f.max.Store(380_000)
	return f
}

func (f *forward) MaxWrite() int { return int(f.max.Load()) }

func (f *forward) Ready(b []byte) func() error {
	b = bytes.Clone(b)
	return func() error {
		if f.under.Add(1) > 1 {
			return errors.New("two Writes at once")
		}
		defer f.under.Add(-1)
		switch at := f.written.Load(); {
		case at >= f.cut:
			return errors.New("cable cut")
		case at >= f.narrow && len(b) > 50_000:
			f.refused.Add(1)
			f.max.Store(int64(len(b) / 2))
			return errors.New("too large")
		}
		f.written.Add(int64(len(b)))
		_, err := twice(f.Conn, b)
		return err
	}
}

// What is made ready while a Write travels comes whole and in order, also when
// that Write was refused as too long and both have to be made anew.
func TestWritesMadeAhead(t *testing.T) {
	const never = 1 << 40
	for _, narrow := range []int64{never, 0, 1 << 20} {
		near, far := sockets(t)
		var got bytes.Buffer
		serve(t, far, putHandlers(&got))
		w := newForward(near, narrow, never)
		c, _, err := Dial(context.Background(), w, Hello{Protocol: Protocol})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		want, put := content(t, 6<<20)
		if _, err := c.Put(context.Background(), put, bytes.NewReader(want)); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("narrow from %d: %v, %d bytes", narrow, err, got.Len())
		}
		if n := w.refused.Load(); (n > 0) != (narrow != never) || n > 6 {
			t.Errorf("narrow from %d: %d writes were refused", narrow, n)
		}
		if c.window.used != 0 {
			t.Errorf("%d bytes of the window are lost", c.window.used)
		}
	}
}

// A Write that fails when nothing comes behind it ends the connection, too.
func TestFailedWriteIsSeenAtOnce(t *testing.T) {
	for _, cut := range []int64{0, 1, 2 << 20} {
		near, far := sockets(t)
		var got bytes.Buffer
		serve(t, far, putHandlers(&got))
		w := newForward(near, 1<<40, cut)
		c, _, err := Dial(context.Background(), w, Hello{Protocol: Protocol})
		if err == nil {
			want, put := content(t, 6<<20)
			_, err = c.Put(context.Background(), put, bytes.NewReader(want))
			c.Close()
		}
		var broken *BrokenError
		if !errors.As(err, &broken) {
			t.Errorf("cut from %d: %v", cut, err)
		}
	}
}

// What has landed keeps nobody's bytes.
func TestLandedFlightsAreForgotten(t *testing.T) {
	s := newSender(newForward(nil, 1<<40, 0), nil)
	f := &flight{frames: []frame{{payload: make([]byte, 8)}}, write: func() error { return nil }, over: make(chan error, 1)}
	s.flights = []*flight{f}
	f.over <- nil
	if _, err := s.land(false); err != nil || len(s.flights) > 0 {
		t.Fatalf("%d flights, %v", len(s.flights), err)
	}
	if f.frames != nil || f.write != nil {
		t.Errorf("kept %+v", f)
	}
}
