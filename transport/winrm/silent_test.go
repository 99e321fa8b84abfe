//go:build linux

package winrm

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-shipper/shipper/lab/wsman"
	"github.com/go-shipper/shipper/transport"
)

// wire is a network in memory, so that the clock can be the test's. Once it is
// mute the host's words get lost on the way.
type wire struct {
	arrive chan net.Conn
	closed chan struct{}
	once   sync.Once

	mu     sync.Mutex
	mute   bool
	deaf   bool // mute, and it takes nothing in either: a full window
	absent bool // nobody answers a new connection
	words  int  // that still get through before it is mute; negative: all
	shy    bool // mute as soon as it gets a password, on each connection anew

	asked atomic.Int64 // for a password
}

func newWire() *wire {
	return &wire{arrive: make(chan net.Conn), closed: make(chan struct{}), words: -1}
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.arrive:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

func (w *wire) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (w *wire) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	w.mu.Lock()
	absent := w.absent
	w.mute = w.mute && !w.shy
	w.mu.Unlock()
	ours, theirs := net.Pipe()
	if !absent {
		select {
		case w.arrive <- silencer{theirs, w}:
			return ours, nil
		case <-w.closed:
			return nil, net.ErrClosed
		}
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// silencer is the host's end of a connection.
type silencer struct {
	net.Conn
	wire *wire
}

func (s silencer) Write(b []byte) (int, error) {
	s.wire.mu.Lock()
	if s.wire.words == 0 {
		s.wire.mute = true
	} else if s.wire.words > 0 {
		s.wire.words--
	}
	mute := s.wire.mute
	s.wire.mu.Unlock()
	if mute {
		return len(b), nil
	}
	return s.Conn.Write(b)
}

func (s silencer) Read(b []byte) (int, error) {
	s.wire.mu.Lock()
	deaf := s.wire.deaf
	s.wire.mu.Unlock()
	if deaf {
		<-s.wire.closed
		return 0, net.ErrClosed
	}
	return s.Conn.Read(b)
}

func (w *wire) silence(how func(*wire)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	how(w)
}

func mute(w *wire)   { w.mute = true }
func deaf(w *wire)   { w.mute, w.deaf = true, true }
func absent(w *wire) { w.mute, w.absent = true, true }

// echo is a program that says what it hears.
type echo struct {
	in   *io.PipeWriter
	out  *io.PipeReader
	over chan struct{}
	once *sync.Once
}

type echoes struct{}

func (echoes) Start(context.Context, wsman.Command) (wsman.Process, error) {
	out, in := io.Pipe()
	return echo{in, out, make(chan struct{}), &sync.Once{}}, nil
}

func (e echo) Stdin() io.WriteCloser { return e }
func (e echo) Stdout() io.Reader     { return e.out }
func (e echo) Stderr() io.Reader     { return eofReader{} }

func (e echo) Write(b []byte) (int, error) { return e.in.Write(b) }

func (e echo) Close() error {
	e.once.Do(func() { close(e.over) })
	return e.in.Close()
}

func (e echo) Kill() { _ = e.Close() }

func (e echo) Wait() (uint32, error) {
	<-e.over
	return 0, nil
}

type eofReader struct{}

func (eofReader) Read([]byte) (int, error) { return 0, io.EOF }

// memoryHost serves on a wire, until the test of the bubble ends.
func memoryHost(t *testing.T, https bool) (*wire, Config) {
	t.Helper()
	cert, ca := certificate(t)
	w := newWire()
	s := wsman.New(wsman.Config{
		Runner: echoes{}, Computer: "WEB1", Certificate: cert,
		Password: func(user string) (string, bool) {
			w.asked.Add(1)
			w.silence(func(w *wire) { w.mute = w.mute || w.shy })
			return testPassword, user == testUser
		},
	})
	serve := s.Serve
	if https {
		serve = s.ServeTLS
	}
	go func() { _ = serve(w) }() // ends with Close
	t.Cleanup(func() {
		w.Close()
		s.Close()
		time.Sleep(time.Minute) // of the test's clock: until the host's last connection is over
	})
	return w, Config{Host: "web1", Address: "127.0.0.1", User: testUser, Password: testPassword, HTTPS: https, CAFile: ca, connect: w.dial}
}

// silentCall is a call of the contract, and what has to be there before it.
type silentCall struct {
	name   string
	budget time.Duration
	ready  func(context.Context, *conn) (call func() error, err error)
}

func silentCalls() []silentCall {
	piped := func(f func(context.Context, *conn, *pipe) func() error) func(context.Context, *conn) (func() error, error) {
		return func(ctx context.Context, c *conn) (func() error, error) {
			p, err := c.Pipe(ctx, "echo")
			if err != nil {
				return nil, err
			}
			if _, err = p.Write([]byte("x")); err == nil {
				_, err = io.ReadFull(p, make([]byte, 1))
			}
			return f(ctx, c, p.(*pipe)), err
		}
	}
	run := func(ctx context.Context, c *conn) error {
		_, err := c.Run(ctx, "echo", nil)
		return err
	}
	silence, tidy := 60*time.Second, cleanupTimeout
	return []silentCall{
		{"open a shell", silence, func(ctx context.Context, c *conn) (func() error, error) {
			return func() error { return run(ctx, c) }, nil
		}},
		{"command", silence, func(ctx context.Context, c *conn) (func() error, error) {
			return func() error { return run(ctx, c) }, run(ctx, c)
		}},
		{"connect and log on again", silence, func(ctx context.Context, c *conn) (func() error, error) {
			c.loseLinks()
			return func() error { return run(ctx, c) }, nil
		}},
		{"start a pipe", silence + tidy, func(ctx context.Context, c *conn) (func() error, error) {
			return func() error {
				_, err := c.Pipe(ctx, "echo")
				return err
			}, run(ctx, c)
		}},
		{"send", silence, piped(func(_ context.Context, _ *conn, p *pipe) func() error {
			return func() error {
				_, err := p.Write(make([]byte, p.MaxWrite()))
				return err
			}
		})},
		{"receive", silence, piped(func(_ context.Context, _ *conn, p *pipe) func() error {
			return func() error {
				_, err := p.Read(make([]byte, 1))
				return err
			}
		})},
		{"start a lane", silence, piped(func(ctx context.Context, _ *conn, p *pipe) func() error {
			return func() error {
				_, err := p.Lane(ctx, "echo")
				return err
			}
		})},
		{"quotas", silence, func(ctx context.Context, c *conn) (func() error, error) {
			return func() error {
				_, err := c.Quotas(ctx)
				return err
			}, nil
		}},
		{"signal", tidy, func(ctx context.Context, c *conn) (func() error, error) {
			p, err := c.Pipe(ctx, "echo")
			if err != nil {
				return nil, err
			}
			l, err := p.(*pipe).Lane(ctx, "echo")
			if err != nil {
				return nil, err
			}
			return l.Close, nil
		}},
		{"delete", tidy, piped(func(_ context.Context, _ *conn, p *pipe) func() error { return p.Close })},
		{"close", tidy, piped(func(_ context.Context, c *conn, _ *pipe) func() error { return c.Close })},
	}
}

// Whatever the host was asked when it fell silent, and however it is silent,
// the call ends with an error, and within its budget.
func TestEveryCallToASilentHostEnds(t *testing.T) {
	for _, https := range []bool{false, true} {
		for how, silence := range map[string]func(*wire){"mute": mute, "deaf": deaf, "absent": absent} {
			for _, s := range silentCalls() {
				name := s.name + ", " + how
				if https {
					name += ", https"
				}
				t.Run(name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { silentlyEnds(t, https, silence, s) })
				})
			}
		}
	}
}

func silentlyEnds(t *testing.T, https bool, silence func(*wire), s silentCall) {
	w, cfg := memoryHost(t, https)
	c := dial(t, cfg).(*conn)
	defer c.Close() //nolint:errcheck // of a silent host
	call, err := s.ready(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	w.silence(silence)
	var e *transport.Error
	if err := within(t, s.budget, call); !errors.As(err, &e) {
		t.Errorf("error %v (%T), want a *transport.Error", err, err)
	}
	_ = within(t, cleanupTimeout, c.Close) // what there is to say the call has said
}

// within gives the error of a call, which must not take longer.
func within(t *testing.T, budget time.Duration, call func() error) error {
	t.Helper()
	began := time.Now()
	err := call()
	if took := time.Since(began); took > budget {
		t.Errorf("it took %s, %s are allowed: %v", took, budget, err)
	}
	return err
}

// A host that falls silent at any word of a logon ends that, too.
func TestEveryWordOfALogonMayBeTheLast(t *testing.T) {
	for _, https := range []bool{false, true} {
		words, err := 0, error(nil)
		for ; words == 0 || err != nil; words++ {
			synctest.Test(t, func(t *testing.T) {
				w, cfg := memoryHost(t, https)
				w.words = words
				err = within(t, 60*time.Second, func() error {
					c, err := Dial(t.Context(), cfg)
					if err == nil {
						c.Close()
					}
					return err
				})
			})
			if t.Failed() {
				t.Fatalf("https %t: after %d words: %v", https, words, err)
			}
		}
		if words < 5 { // identify, challenge, welcome, limits
			t.Errorf("https %t: a logon of %d words", https, words-1)
		}
	}
}

// A proxy that says nothing is no better.
func TestSilentProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, cfg := memoryHost(t, false)
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go io.Copy(io.Discard, theirs) //nolint:errcheck // ends with the test
		cfg.connect = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
		cfg.Proxy = func(*url.URL) (*url.URL, error) { return url.Parse("http://proxy:3128") }
		err := within(t, 10*time.Second, func() error {
			_, err := Dial(t.Context(), cfg)
			return err
		})
		denied(t, err, transport.Unreachable, hintProxy)
	})
}
