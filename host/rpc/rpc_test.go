package rpc

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-shipper/shipper/release"
)

// pipe is a connection whose writes can be bent, as a WinRM pipe bends them.
type pipe struct {
	net.Conn
	max  int
	bend func(w io.Writer, b []byte) (int, error)
}

func (p *pipe) MaxWrite() int { return p.max }

func (p *pipe) Write(b []byte) (int, error) {
	if len(b) > p.max {
		return 0, fmt.Errorf("write of %d bytes", len(b))
	}
	if p.bend != nil {
		return p.bend(p.Conn, b)
	}
	return p.Conn.Write(b)
}

// twice delivers every write two times.
func twice(w io.Writer, b []byte) (int, error) {
	if n, err := w.Write(b); err != nil {
		return n, err
	}
	return w.Write(b)
}

func sockets(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// serve runs h at the far end and returns Serve's result through the channel.
func serve(t *testing.T, far io.ReadWriteCloser, h *Handlers) <-chan error {
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	go func() { ended <- Serve(ctx, far, h) }()
	return ended
}

func handlers() *Handlers {
	h := &Handlers{Hello: func(context.Context, Hello) (HelloReply, error) {
		return HelloReply{Protocol: Protocol, Hostname: "web1"}, nil
	}}
	Handle(h, MethodStatus, func(_ context.Context, p ServiceRef) (ServiceStatus, error) {
		if p.Service == "" {
			return ServiceStatus{}, Errorf(CodeNotFound, "name a service", "no service")
		}
		return ServiceStatus{Service: p.Service}, nil
	})
	return h
}

func dial(t *testing.T, near io.ReadWriteCloser) *Client {
	t.Helper()
	c, reply, err := Dial(context.Background(), near, Hello{Protocol: Protocol})
	if err != nil {
		t.Fatal(err)
	}
	if reply.Hostname != "web1" {
		t.Errorf("hello came from %q", reply.Hostname)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCallsOverAPipeThatRepeats(t *testing.T) {
	near, far := sockets(t)
	serve(t, &pipe{Conn: far, max: 300, bend: twice}, handlers())
	c := dial(t, &pipe{Conn: near, max: 200, bend: twice})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			name := fmt.Sprint("s", i, string(bytes.Repeat([]byte("x"), 50*i)))
			got, err := c.Status(context.Background(), ServiceRef{Service: name})
			if err != nil || got.Service != name {
				t.Errorf("call %d: %q, %v", i, got.Service, err)
			}
		})
	}
	all.Wait()
}

func TestErrorsCrossTheWire(t *testing.T) {
	near, far := sockets(t)
	serve(t, far, handlers())
	c := dial(t, near)
	_, err := c.Status(context.Background(), ServiceRef{})
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeNotFound || e.Hint != "name a service" {
		t.Errorf("got %#v", err)
	}
	if err := c.Prepare(context.Background(), Fenced{}); CodeOf(err) != CodeUnsupported {
		t.Errorf("unknown method: %v", err)
	}
}

func TestHelloMeetsOtherVersions(t *testing.T) {
	tests := []struct {
		mine, guard int
		refused     bool
	}{{1, 1, false}, {2, 1, false}, {3, 1, true}, {1, 2, true}}
	for _, tt := range tests {
		near, far := sockets(t)
		h := handlers()
		h.Hello = func(context.Context, Hello) (HelloReply, error) { return HelloReply{Protocol: tt.guard}, nil }
		serve(t, far, h)
		c, _, err := Dial(context.Background(), near, Hello{Protocol: tt.mine})
		if (CodeOf(err) == CodeProtocol) != tt.refused {
			t.Errorf("controller %d, guard %d: %v", tt.mine, tt.guard, err)
		}
		if c != nil {
			c.Close()
		}
	}
}

func TestHelloIsFirst(t *testing.T) {
	near, far := sockets(t)
	ended := serve(t, far, handlers())
	if _, err := near.Write(wire(frame{kind: kindRequest, stream: 1, payload: []byte("{}")})); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrProtocol) {
		t.Errorf("got %v", err)
	}
}

func TestLongCallHoldsUpNobodyAndIsCancelled(t *testing.T) {
	near, far := sockets(t)
	h := handlers()
	begun, ended := make(chan struct{}), make(chan error, 1)
	Handle(h, MethodStart, func(ctx context.Context, _ Start) (Started, error) {
		close(begun)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return Started{}, ctx.Err()
	})
	serve(t, far, h)
	c := dial(t, near)
	ctx, cancel := context.WithCancelCause(context.Background())
	result := make(chan error, 1)
	go func() {
		_, err := c.Start(ctx, Start{})
		result <- err
	}()
	<-begun
	if _, err := c.Status(context.Background(), ServiceRef{Service: "a"}); err != nil {
		t.Error(err)
	}
	why := errors.New("enough")
	cancel(why)
	if err := <-result; !errors.Is(err, why) {
		t.Errorf("caller: %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("handler: %v", err)
	}
}

func TestDeadPipeEndsCallsOnBothSides(t *testing.T) {
	near, far := sockets(t)
	h := handlers()
	begun := make(chan struct{})
	Handle(h, MethodStart, func(ctx context.Context, _ Start) (Started, error) {
		close(begun)
		<-ctx.Done()
		return Started{}, ctx.Err()
	})
	ended := serve(t, far, h)
	c := dial(t, near)
	result := make(chan error, 1)
	go func() {
		_, err := c.Start(context.Background(), Start{})
		result <- err
	}()
	<-begun
	far.Close()
	var broken *BrokenError
	if err := <-result; !errors.As(err, &broken) {
		t.Errorf("caller: %v", err)
	}
	<-ended
	<-c.Done()
	if _, err := c.List(context.Background()); !errors.As(err, &broken) {
		t.Errorf("later call: %v", err)
	}
}

func TestPanicOfAHandlerIsAnError(t *testing.T) {
	near, far := sockets(t)
	h := handlers()
	Handle(h, MethodList, func(context.Context, none) ([]string, error) { panic("boom") })
	serve(t, far, h)
	c := dial(t, near)
	if _, err := c.List(context.Background()); CodeOf(err) != CodeFailed {
		t.Errorf("got %v", err)
	}
	if _, err := c.Status(context.Background(), ServiceRef{Service: "a"}); err != nil {
		t.Error(err)
	}
}

// putHandlers keep what arrives, as a store with resume does.
func putHandlers(got *bytes.Buffer) *Handlers {
	h := handlers()
	h.Put = func(_ context.Context, p Put, r io.Reader) (PutReply, error) {
		if p.Offset != int64(got.Len()) {
			return PutReply{}, Errorf(CodeConflict, "", "have %d, not %d", got.Len(), p.Offset)
		}
		_, err := io.Copy(got, r)
		return PutReply{Complete: err == nil, Have: int64(got.Len())}, err
	}
	return h
}

func TestPushResumesAfterACut(t *testing.T) {
	content := make([]byte, 20<<20)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	put := Put{Digest: release.Of(content), Size: int64(len(content)), Encoded: int64(len(content))}
	var got bytes.Buffer

	near, far := sockets(t)
	ended := serve(t, far, putHandlers(&got))
	var written atomic.Int64
	c := dial(t, &pipe{Conn: near, max: 379000, bend: func(w io.Writer, b []byte) (int, error) {
		if written.Add(int64(len(b))) > 12<<20 {
			w.Write(b[:len(b)/2])
			return 0, errors.New("cable cut")
		}
		return twice(w, b)
	}})
	var broken *BrokenError
	if _, err := c.Put(context.Background(), put, bytes.NewReader(content)); !errors.As(err, &broken) {
		t.Fatalf("got %v", err)
	}
	near.Close()
	<-ended
	if got.Len() == 0 || got.Len() >= len(content) {
		t.Fatalf("%d of %d bytes after the cut", got.Len(), len(content))
	}

	near, far = sockets(t)
	serve(t, far, putHandlers(&got))
	c = dial(t, &pipe{Conn: near, max: 379000, bend: twice})
	put.Offset = int64(got.Len())
	reply, err := c.Put(context.Background(), put, bytes.NewReader(content[got.Len():]))
	if err != nil || !reply.Complete || !bytes.Equal(got.Bytes(), content) {
		t.Fatalf("%+v, %v, %d bytes", reply, err, got.Len())
	}
	if c.window.used != 0 {
		t.Errorf("%d bytes of the window are lost", c.window.used)
	}
}

func TestManyPutsAndCallsAtOnce(t *testing.T) {
	near, far := sockets(t)
	h := handlers()
	h.Put = func(_ context.Context, p Put, r io.Reader) (PutReply, error) {
		if p.Size%3 == 0 { // refused before its data is read
			return PutReply{}, Errorf(CodeDiskFull, "", "full")
		}
		b, err := io.ReadAll(r)
		if err == nil && release.Of(b) != p.Digest {
			err = Errorf(CodeVerification, "", "wrong digest")
		}
		return PutReply{Complete: true, Have: int64(len(b))}, err
	}
	serve(t, far, h)
	c := dial(t, &pipe{Conn: near, max: 100 << 10})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			b := bytes.Repeat([]byte{byte(i)}, i*100_000+i)
			p := Put{Digest: release.Of(b), Size: int64(i), Encoded: int64(len(b))}
			_, err := c.Put(context.Background(), p, bytes.NewReader(b))
			if want := map[bool]string{true: CodeDiskFull}[i%3 == 0]; CodeOf(err) != want || want == "" && err != nil {
				t.Errorf("put %d: %v", i, err)
			}
			if _, err := c.Status(context.Background(), ServiceRef{Service: "a"}); err != nil {
				t.Errorf("status %d: %v", i, err)
			}
		})
	}
	all.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.window.used != 0 || len(c.calls) != 0 {
		t.Errorf("%d bytes and %d calls remain booked", c.window.used, len(c.calls))
	}
}

func TestPutOfAShortReaderIsCancelled(t *testing.T) {
	near, far := sockets(t)
	h := handlers()
	ended := make(chan error, 1)
	h.Put = func(_ context.Context, _ Put, r io.Reader) (PutReply, error) {
		_, err := io.Copy(io.Discard, r)
		ended <- err
		return PutReply{}, err
	}
	serve(t, far, h)
	c := dial(t, near)
	_, err := c.Put(context.Background(), Put{Encoded: 10}, bytes.NewReader([]byte("short")))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("caller: %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("handler: %v", err)
	}
}

func TestSenderBeyondTheWindowIsCutOff(t *testing.T) {
	near, far := sockets(t)
	h := handlers()
	h.Put = func(ctx context.Context, _ Put, _ io.Reader) (PutReply, error) {
		<-ctx.Done()
		return PutReply{}, ctx.Err()
	}
	ended := serve(t, far, h)
	go io.Copy(io.Discard, near)
	frames := []frame{
		{kind: kindHello, payload: []byte("{}")},
		{kind: kindRequest, stream: 1, payload: []byte(`{"method":"store.put","params":{"encoded":99999999}}`)},
	}
	for at := 0; at <= Window; at += MaxPayload {
		frames = append(frames, frame{kind: kindData, stream: 1, offset: uint64(at), payload: make([]byte, MaxPayload)})
	}
	near.Write(wire(frames...)) // the far end may hang up before the end
	if err := <-ended; !errors.Is(err, ErrProtocol) {
		t.Errorf("got %v", err)
	}
}

func FuzzServe(f *testing.F) {
	f.Add([]byte(`{"protocol":1}`), []byte(`{"method":"service.status","params":{"service":"a"}}`), byte(kindRequest))
	f.Add([]byte(`{}`), []byte(`{"method":"store.put","params":{"encoded":5}}`), byte(kindRequest))
	f.Add([]byte(`x`), []byte(`[]`), byte(kindData))
	h := putHandlers(&bytes.Buffer{})
	f.Fuzz(func(t *testing.T, hello, message []byte, k byte) {
		if len(hello) > MaxPayload || len(message) > MaxPayload {
			return
		}
		in := wire(frame{kind: kindHello, payload: hello}, frame{kind: kind(k), stream: 1, payload: message})
		c := struct {
			io.Reader
			io.Writer
			io.Closer
		}{bytes.NewReader(in), io.Discard, io.NopCloser(nil)}
		err := Serve(context.Background(), c, h)
		if err != nil && !errors.Is(err, ErrProtocol) {
			t.Fatal(err)
		}
	})
}

// Bytes that all come with the request wait for nobody's word; more of them do.
func TestShortPutIsAnsweredOnce(t *testing.T) {
	for _, c := range []struct{ bytes, acks int }{{1000, 0}, {400_000, 1}} {
		near, far := sockets(t)
		var said bytes.Buffer
		end := serve(t, &pipe{Conn: far, max: 379_000, bend: func(w io.Writer, b []byte) (int, error) {
			said.Write(b)
			return w.Write(b)
		}}, putHandlers(&bytes.Buffer{}))
		content, put := content(t, c.bytes)
		client := dial(t, &pipe{Conn: near, max: 379_000})
		if reply, err := client.Put(t.Context(), put, bytes.NewReader(content)); err != nil || !reply.Complete {
			t.Fatalf("%+v, %v", reply, err)
		}
		client.Close()
		<-end
		frames, _ := readAll(said.Bytes())
		acks := 0
		for _, f := range frames {
			if f.kind == kindAck {
				acks++
			}
		}
		if acks != c.acks {
			t.Errorf("%d bytes: %d acks, want %d", c.bytes, acks, c.acks)
		}
	}
}
