package ssh

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/go-shipper/shipper/transport"
)

// network is one in memory, so that the clock can be the test's. It is
// silent as a host is: words get lost, and what is said to it may, too.
type network struct {
	server *ssh.ServerConfig
	closed chan struct{}

	mu     sync.Mutex
	mute   bool
	deaf   bool // mute, and it takes nothing in either: a full window
	absent bool // nobody answers a new connection
	words  int  // that still get through before it is mute; negative: all
}

func (w *network) dial(ctx context.Context, kind, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	if kind == "unix" {
		return ours, nil // an agent that waits for its user
	}
	w.mu.Lock()
	absent := w.absent
	w.mu.Unlock()
	if absent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	s := silencer{theirs, w, make(chan []byte, 1024)}
	go s.deliver()
	go s.serve()
	return ours, nil
}

// silencer is the host's end of a connection.
type silencer struct {
	net.Conn
	net  *network
	said chan []byte
}

func (s silencer) Write(b []byte) (int, error) {
	s.net.mu.Lock()
	if s.net.words == 0 {
		s.net.mute = true
	} else if s.net.words > 0 {
		s.net.words--
	}
	mute := s.net.mute
	s.net.mu.Unlock()
	if !mute {
		s.said <- append([]byte(nil), b...)
	}
	return len(b), nil
}

func (s silencer) deliver() {
	for {
		select {
		case b := <-s.said:
			if _, err := s.Conn.Write(b); err != nil {
				return
			}
		case <-s.net.closed:
			return
		}
	}
}

func (s silencer) Read(b []byte) (int, error) {
	s.net.mu.Lock()
	deaf := s.net.deaf
	s.net.mu.Unlock()
	if deaf {
		<-s.net.closed
		return 0, net.ErrClosed
	}
	return s.Conn.Read(b)
}

// serve is an SSH server whose programs say what they hear.
func (s silencer) serve() {
	defer s.Conn.Close()
	c, channels, requests, err := ssh.NewServerConn(s, s.net.server)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for n := range channels {
		ch, requests, err := n.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "exec", nil)
			}
		}()
		go func() {
			_, _ = io.Copy(ch, ch)
			_, _ = ch.SendRequest("exit-status", false, make([]byte, 4))
			ch.Close()
		}()
	}
	_ = c.Wait()
}

func mute(w *network)   { w.mute = true }
func deaf(w *network)   { w.mute, w.deaf = true, true }
func absent(w *network) { w.mute, w.absent = true, true }

func (w *network) silence(how func(*network)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	how(w)
}

// memoryHost serves on a wire, until the test of the bubble ends.
func memoryHost(t *testing.T) (*network, Config) {
	t.Helper()
	key, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	w := &network{closed: make(chan struct{}), words: -1, server: &ssh.ServerConfig{
		PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, nil },
	}}
	w.server.AddHostKey(key)
	t.Cleanup(func() { close(w.closed) })
	return w, Config{Host: "web1", Address: "127.0.0.1", User: "u", Password: "p", Fingerprint: ssh.FingerprintSHA256(key.PublicKey()), connect: w.dial}
}

func dialWire(t *testing.T, cfg Config) *conn {
	t.Helper()
	c, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*conn)
}

// silentCall is a call of the contract, and what has to be there before it.
type silentCall struct {
	name   string
	budget time.Duration
	ready  func(context.Context, *conn) (call func(context.Context) error, err error)
}

func silentCalls() []silentCall {
	run := func(c *conn) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := c.Run(ctx, "echo", nil)
			return err
		}
	}
	pipe := func(c *conn) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := c.Pipe(ctx, "echo")
			return err
		}
	}
	piped := func(f func(*conn, transport.Pipe) func(context.Context) error) func(context.Context, *conn) (func(context.Context) error, error) {
		return func(ctx context.Context, c *conn) (func(context.Context) error, error) {
			p, err := c.Pipe(ctx, "echo")
			if err != nil {
				return nil, err
			}
			if _, err = p.Write([]byte("x")); err == nil {
				_, err = io.ReadFull(p, make([]byte, 1))
			}
			return f(c, p), err
		}
	}
	return []silentCall{
		{"command", defaultSilence, func(_ context.Context, c *conn) (func(context.Context) error, error) { return run(c), nil }},
		{"connect and command", defaultDial + defaultSilence, piped(func(c *conn, _ transport.Pipe) func(context.Context) error { return run(c) })},
		{"start a pipe", defaultSilence, func(_ context.Context, c *conn) (func(context.Context) error, error) { return pipe(c), nil }},
		{"connect and start a pipe", defaultDial + defaultSilence, piped(func(c *conn, _ transport.Pipe) func(context.Context) error { return pipe(c) })},
		{"send", defaultSilence, piped(func(_ *conn, p transport.Pipe) func(context.Context) error {
			return func(context.Context) (err error) {
				for err == nil { // what the window takes is no failure yet
					_, err = p.Write(make([]byte, p.MaxWrite()))
				}
				return err
			}
		})},
		{"receive", defaultSilence, piped(func(_ *conn, p transport.Pipe) func(context.Context) error {
			return func(context.Context) error {
				_, err := p.Read(make([]byte, 1))
				return err
			}
		})},
	}
}

// Whatever the host was asked when it fell silent, and however it is silent,
// the call ends with an error, and within its budget; at once if its caller
// leaves.
func TestEveryCallToASilentHostEnds(t *testing.T) {
	for how, silence := range map[string]func(*network){"mute": mute, "deaf": deaf, "absent": absent} {
		for _, s := range silentCalls() {
			t.Run(s.name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { silentlyEnds(t, silence, s) })
			})
			if s.name == "send" || s.name == "receive" { // they have no context; Close ends them
				continue
			}
			t.Run(s.name+", "+how+", cancelled", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { cancelEnds(t, silence, s) })
			})
		}
	}
}

func silentlyEnds(t *testing.T, silence func(*network), s silentCall) {
	w, cfg := memoryHost(t)
	c := dialWire(t, cfg)
	call, err := s.ready(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	w.silence(silence)
	var e *transport.Error
	if err := within(t, s.budget, func() error { return call(t.Context()) }); !errors.As(err, &e) {
		t.Errorf("error %v (%T), want a *transport.Error", err, err)
	}
	_ = within(t, lastWord, c.Close)
}

func cancelEnds(t *testing.T, silence func(*network), s silentCall) {
	w, cfg := memoryHost(t)
	c := dialWire(t, cfg)
	call, err := s.ready(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	w.silence(silence)
	why := errors.New("changed my mind")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(time.Second, func() { cancel(why) })
	if err := within(t, time.Second+lastWord, func() error { return call(ctx) }); !errors.Is(err, why) {
		t.Errorf("error %v, want its cause", err)
	}
	_ = within(t, lastWord, c.Close)
}

// Closing ends what waits for a silent host, and waits for nobody itself.
func TestCloseOfASilentHost(t *testing.T) {
	for how, silence := range map[string]func(*network){"mute": mute, "deaf": deaf, "absent": absent} {
		for _, s := range silentCalls() {
			t.Run(s.name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, cfg := memoryHost(t)
					c := dialWire(t, cfg)
					call, err := s.ready(t.Context(), c)
					if err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					w.silence(silence)
					ended := make(chan error, 1)
					go func() { ended <- call(t.Context()) }()
					synctest.Wait()
					_ = within(t, lastWord, c.Close)
					if err := within(t, 0, func() error { return <-ended }); err == nil {
						t.Error("the call succeeded")
					}
				})
			})
		}
	}
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
	words, err := 0, error(nil)
	for ; words == 0 || err != nil; words++ {
		synctest.Test(t, func(t *testing.T) {
			w, cfg := memoryHost(t)
			w.words = words
			err = within(t, defaultDial, func() error {
				c, err := Dial(t.Context(), cfg)
				if err == nil {
					c.Close()
				}
				return err
			})
			var e *transport.Error
			if err != nil && (!errors.As(err, &e) || e.Kind != transport.Unreachable) {
				t.Errorf("after %d words: %v", words, err)
			}
		})
		if t.Failed() || words > 100 {
			t.Fatalf("after %d words: %v", words, err)
		}
	}
	if words < 5 { // version, keys, new keys, service, welcome
		t.Errorf("a logon of %d words", words-1)
	}
}

// So does an agent that waits for somebody to touch a key.
func TestSilentAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, cfg := memoryHost(t)
		cfg.Agent, cfg.Password = "agent", ""
		err := within(t, defaultDial, func() error {
			_, err := Dial(t.Context(), cfg)
			return err
		})
		var e *transport.Error
		if !errors.As(err, &e) {
			t.Errorf("error %v", err)
		}
	})
}
