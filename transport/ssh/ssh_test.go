//go:build !windows

package ssh_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/ports"
	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/ssh"
	"github.com/go-shipper/shipper/transport/transporttest"
)

func TestContract(t *testing.T) {
	h := startServer(t)
	transporttest.Run(t, transporttest.Host{
		Dial: func(t *testing.T) transport.Conn { return h.dial(t, h.config) }, Probe: transporttest.Build(t, "", ""), Temp: t.TempDir(),
	})
}

func TestRefusals(t *testing.T) {
	h := startServer(t)
	other, _ := newKey(t, "other", "")
	closed := ports.Free(t)
	empty := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(changed, []byte(h.knownLine(t, other+".pub")), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name   string
		change func(*ssh.Config)
		kind   transport.Kind
		words  string // of error or hint
	}{
		{"key that may not log on", func(c *ssh.Config) { c.Key = []byte(read(t, other)) }, transport.Denied, "authorized_keys"},
		{"password that the server does not take", func(c *ssh.Config) { c.Key, c.Password = nil, "secret" }, transport.Denied, "transport.user"},
		{"no way to log on", func(c *ssh.Config) { c.Key = nil }, transport.Denied, "transport.ssh.key"},
		{"no key", func(c *ssh.Config) { c.Key = []byte("none") }, transport.Denied, "read private key"},
		{"no agent", func(c *ssh.Config) { c.Agent = empty }, transport.Denied, "authentication agent"},
		{"unknown host", func(c *ssh.Config) { c.KnownHosts = empty }, transport.Certificate, "ssh-keyscan"},
		{"host with another key", func(c *ssh.Config) { c.KnownHosts = changed }, transport.Certificate, "changed"},
		{"another fingerprint", func(c *ssh.Config) { c.Fingerprint = "SHA256:AAAA" }, transport.Certificate, h.fingerprint},
		{"nothing to compare with", func(c *ssh.Config) { c.KnownHosts = "" }, transport.Certificate, "transport.ssh.hostKey"},
		{"nobody listens", func(c *ssh.Config) { c.Port = closed }, transport.Unreachable, "Get-Service sshd"},
		{"no SSH server", func(c *ssh.Config) { c.Port = echoPort(t) }, transport.Unreachable, "SSH server"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := h.config
			c.change(&cfg)
			conn, err := ssh.Dial(t.Context(), cfg)
			var e *transport.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, %v", conn, err)
			}
			if e.Kind != c.kind || !strings.Contains(e.Error()+" "+e.Hint, c.words) {
				t.Errorf("kind %d, want %d with %q: %v (%s)", e.Kind, c.kind, c.words, e, e.Hint)
			}
			if strings.Contains(e.Error()+e.Hint, "secret") {
				t.Error("the password is in the error")
			}
		})
	}
}

func TestLockedKeyAndFingerprint(t *testing.T) {
	h := startServer(t)
	cfg := h.config
	cfg.Key, cfg.Passphrase = h.lockedKey, "opens it"
	cfg.KnownHosts, cfg.Fingerprint = "", h.fingerprint
	r, err := h.dial(t, cfg).Run(t.Context(), "echo hello", nil)
	if err != nil || strings.TrimSpace(string(r.Stdout)) != "hello" {
		t.Fatalf("%+v, %v", r, err)
	}
}

// A host that falls silent, without closing anything, ends what waits for it.
func TestSilentHost(t *testing.T) {
	t.Parallel()
	h := startServer(t)
	wall := startWall(t, h.config.Port)
	cfg := h.config
	cfg.Port, cfg.Silence = wall.port, 10*time.Second
	cfg.KnownHosts, cfg.Fingerprint = "", h.fingerprint
	c := h.dial(t, cfg)
	p, err := c.Pipe(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	wall.silence()
	_, err = io.ReadAll(p)
	var e *transport.Error
	if !errors.As(err, &e) || e.Kind != transport.Broken || !strings.Contains(e.Error(), "no answer within") {
		t.Errorf("read: %v", err)
	}
}

func TestDialOfASilentHostCanBeCancelled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes the connection; nobody speaks
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	why := errors.New("changed my mind")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	h := startServer(t)
	cfg := h.config
	cfg.Port = l.Addr().(*net.TCPAddr).Port
	go func() { _, err := ssh.Dial(ctx, cfg); done <- err }()
	raw, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	cancel(why)
	if err := <-done; !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}
