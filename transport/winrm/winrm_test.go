//go:build !windows

package winrm

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/ports"
	"github.com/go-shipper/shipper/lab/wsman"
	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/transporttest"
)

func TestContract(t *testing.T) {
	probe := transporttest.Build(t, "", "")
	h := startHost(t, wsman.Limits{})
	t.Run("by", func(t *testing.T) {
		for name, cfg := range h.configs() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				transporttest.Run(t, transporttest.Host{
					Dial: func(t *testing.T) transport.Conn { return dial(t, cfg) }, Probe: probe, Temp: t.TempDir(),
				})
			})
		}
	})
	if n := h.Shells(); n != 0 {
		t.Errorf("%d shells left behind", n)
	}
}

// denied checks an error's kind and hint.
func denied(t *testing.T, err error, kind transport.Kind, hint string) *transport.Error {
	t.Helper()
	var e *transport.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want a *transport.Error", err, err)
	}
	if e.Kind != kind || !strings.HasPrefix(e.Hint, hint) || e.Host != "web1" {
		t.Errorf("error %+v, want kind %d, hint %q", e, kind, hint)
	}
	return e
}

func TestRefusals(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	closed := ports.Free(t)
	cases := []struct {
		name   string
		base   Config
		change func(*Config)
		kind   transport.Kind
		hint   string
	}{
		{"wrong password", h.http, func(c *Config) { c.Password = "wrong" }, transport.Denied, hintPassword},
		{"wrong password over TLS", h.https, func(c *Config) { c.Password = "wrong" }, transport.Denied, hintPassword},
		{"wrong password by Basic", h.https, func(c *Config) { c.Password, c.Auth = "wrong", AuthBasic }, transport.Denied, hintPassword},
		{"unknown user", h.http, func(c *Config) { c.User = "nobody" }, transport.Denied, hintPassword},
		{"Basic in the clear", h.http, func(c *Config) { c.Auth = AuthBasic }, transport.Denied, hintPlainBasic},
		{"unknown authority", h.https, func(c *Config) { c.CAFile = ""; c.RootCAs = x509.NewCertPool() }, transport.Certificate, hintCA},
		{"other name", h.https, func(c *Config) { c.Address = "localhost" }, transport.Certificate, hintName},
		{"no such file of authorities", h.https, func(c *Config) { c.CAFile += ".none" }, transport.Certificate, hintCA},
		{"nobody listens", h.http, func(c *Config) { c.Port = closed }, transport.Unreachable, hintUnreachable},
		{"HTTPS at the HTTP port", h.https, func(c *Config) { c.Port = h.http.Port }, transport.Unreachable, hintScheme},
		{"no user", h.http, func(c *Config) { c.User = "" }, transport.Denied, hintCredentials},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.change(&c.base)
			conn, err := Dial(t.Context(), c.base)
			if err == nil {
				conn.Close()
			}
			e := denied(t, err, c.kind, c.hint)
			if strings.Contains(e.Error()+e.Hint, c.base.Password) && c.base.Password != "" {
				t.Errorf("the password is in %q", e)
			}
		})
	}
}

func TestInsecureAndSystemAuthorities(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	cfg := h.https
	cfg.CAFile, cfg.Insecure = "", true
	dial(t, cfg).Close()
	cfg.Insecure = false
	_, err := Dial(t.Context(), cfg)
	denied(t, err, transport.Certificate, hintCA)
}

func TestPasswordIsTriedTwiceAtMost(t *testing.T) {
	for name, cfg := range startHost(t, wsman.Limits{}).configs() {
		t.Run(name, func(t *testing.T) {
			h := startHost(t, wsman.Limits{})
			cfg.Port, cfg.CAFile = h.http.Port, h.https.CAFile
			if cfg.HTTPS {
				cfg.Port = h.https.Port
			}
			cfg.Password = "wrong"
			_, err := Dial(t.Context(), cfg)
			denied(t, err, transport.Denied, hintPassword)
			if n := h.asked.Load(); n < 1 || n > 2 {
				t.Errorf("%d attempts", n)
			}
		})
	}
}

func TestOneRefusalIsForgiven(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	for name, cfg := range h.configs() {
		t.Run(name, func(t *testing.T) {
			h.SetFaults(wsman.Faults{RefuseAuth: 1})
			dial(t, cfg).Close()
		})
	}
}

func TestUnavailableForAWhile(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	h.SetFaults(wsman.Faults{Unavailable: 50 * time.Millisecond})
	cfg := h.http
	cfg.RetryDelay = 100 * time.Millisecond
	dial(t, cfg).Close()
}

func TestProxiesAreIgnored(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, "http://192.0.2.1:1")
	}
	h := startHost(t, wsman.Limits{})
	dial(t, h.http).Close()
	dial(t, h.https).Close()
}

func TestNothingTravelsInTheClear(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	for name, cfg := range h.configs() {
		t.Run(name, func(t *testing.T) {
			r := startRelay(t, cfg.Port)
			cfg.Port = r.port()
			c := dial(t, cfg)
			if _, err := c.Run(t.Context(), "echo visible-$((6*7))", strings.NewReader("input")); err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, secret := range []string{"visible-", testPassword, "shell/cmd", "CommandLine"} {
				if bytes.Contains(r.said, []byte(secret)) {
					t.Errorf("%q is on the wire", secret)
				}
			}
		})
	}
}

func TestQuotaOfShells(t *testing.T) {
	h := startHost(t, wsman.Limits{Shells: 1})
	c := dial(t, h.http)
	defer c.Close()
	p, err := c.Pipe(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Run(t.Context(), "true", nil)
	if e := denied(t, err, transport.Quota, hintShells); e.Code != codeShellsPerUser {
		t.Errorf("code %d", e.Code)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Run(t.Context(), "true", nil); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestEnvelopeOfTheHost(t *testing.T) {
	for kb, low := range map[int]int{150: 110_000, 500: 379_000, 1500: 1_140_000} {
		h := startHost(t, wsman.Limits{EnvelopeKB: kb})
		c := dial(t, h.http)
		defer c.Close()
		p, err := c.Pipe(t.Context(), "cat")
		if err != nil {
			t.Fatal(err)
		}
		n := p.MaxWrite()
		if n < low || n > kb<<10*3/4 {
			t.Errorf("%d kB: %d bytes in a Write", kb, n)
		}
		if _, err := p.Write(make([]byte, n)); err != nil {
			t.Errorf("%d kB: %v", kb, err)
		}
		if _, err := io.ReadFull(p, make([]byte, n)); err != nil {
			t.Errorf("%d kB: %v", kb, err)
		}
		p.(*pipe).max.Store(int64(2 * n)) // as if the host had said more than it takes
		_, err = p.Write(make([]byte, 2*n))
		denied(t, err, transport.Quota, hintEnvelope)
		if p.MaxWrite() != n {
			t.Errorf("%d kB: refused twice as much as %d bytes, now %d are taken", kb, n, p.MaxWrite())
		}
		if _, err := p.Write(make([]byte, n)); err != nil {
			t.Errorf("%d kB: half as much: %v", kb, err)
		}
	}
}

func TestShellThatTheHostFreed(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	c := dial(t, h.http).(*conn)
	defer c.Close()
	if _, err := c.Run(t.Context(), "true", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.short.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := c.Run(t.Context(), "exit 3", nil); err != nil || r.Exit != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCommandLines(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	c := dial(t, h.http)
	defer c.Close()
	r, err := c.Run(t.Context(), `printf %s "<a> & 'b' ]]> é"`, nil)
	if err != nil || string(r.Stdout) != "<a> & 'b' ]]> é" {
		t.Errorf("%q, %v", r.Stdout, err)
	}
	for _, line := range []string{"a\nb", "a\x00b", strings.Repeat("x", maxLine+1)} {
		if _, err := c.Run(t.Context(), line, nil); err == nil {
			t.Errorf("accepted %.10q", line)
		}
	}
}

func TestInputThatFails(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	c := dial(t, h.http)
	defer c.Close()
	why := errors.New("disk is gone")
	_, err := c.Run(t.Context(), "cat", io.MultiReader(strings.NewReader("some"), failing{why}))
	if !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestProgramThatIgnoresItsInput(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	c := dial(t, h.http)
	defer c.Close()
	r, err := c.Run(t.Context(), "exec <&-; echo done", bytes.NewReader(make([]byte, 4<<20)))
	if err != nil || strings.TrimSpace(string(r.Stdout)) != "done" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCancelledDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			_, _ = c.Read(make([]byte, 1))
		}
		cancel(why)
	}()
	_, err = Dial(ctx, Config{Address: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, User: "u"})
	if !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
}

// A shell's end is the end of what runs in it: nobody has to be told twice.
func TestClosingAPipeIsOneRequest(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	c := dial(t, h.http)
	defer c.Close()
	pid := filepath.Join(t.TempDir(), "pid")
	p, err := c.Pipe(t.Context(), "echo $$ >"+pid+".new; mv "+pid+".new "+pid+"; exec sleep 600")
	if err != nil {
		t.Fatal(err)
	}
	running := awaitPID(t, pid)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	poll(t, "end of the program", func() bool { return syscall.Kill(running, 0) != nil })
	if n := h.Asked("Signal"); n != 0 || h.Asked("Delete") != 1 || h.Shells() != 0 {
		t.Errorf("%d signals, %d deletes, %d shells left", n, h.Asked("Delete"), h.Shells())
	}
}
