//go:build !windows

package winrm

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/wsman"
	"github.com/go-shipper/shipper/transport"
)

const (
	testUser     = "Administrator"
	testPassword = "pässword & <secret>"
)

// shRunner runs the commands of the shells by sh, each in a process group.
type shRunner struct{}

type shProcess struct {
	cmd         *exec.Cmd
	in          io.WriteCloser
	out, errOut io.Reader
	done        chan struct{}
}

func (shRunner) Start(_ context.Context, c wsman.Command) (wsman.Process, error) {
	cmd := exec.Command("sh", "-c", c.Line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, outEnd := io.Pipe()
	errOut, errEnd := io.Pipe()
	cmd.Stdout, cmd.Stderr = outEnd, errEnd
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &shProcess{cmd: cmd, in: in, out: out, errOut: errOut, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		outEnd.Close()
		errEnd.Close()
		close(p.done)
	}()
	return p, nil
}

func (p *shProcess) Stdin() io.WriteCloser { return p.in }
func (p *shProcess) Stdout() io.Reader     { return p.out }
func (p *shProcess) Stderr() io.Reader     { return p.errOut }
func (p *shProcess) Kill()                 { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

func (p *shProcess) Wait() (uint32, error) {
	<-p.done
	return uint32(p.cmd.ProcessState.ExitCode()), nil
}

// host is a WinRM service on loopback.
type host struct {
	*wsman.Server
	http, https Config
	asked       atomic.Int64 // lookups of the password
}

func startHost(t testing.TB, limits wsman.Limits) *host {
	return startHostAs(t, wsman.Config{Limits: limits})
}

// startHostAs fills in what all hosts have in common.
func startHostAs(t testing.TB, config wsman.Config) *host {
	t.Helper()
	h := &host{}
	cert, ca := certificate(t)
	if config.Certificate != nil {
		cert, ca = config.Certificate, pemFile(t, config.Certificate.Certificate[0])
	}
	if config.Runner == nil {
		config.Runner = shRunner{}
	}
	config.Computer, config.Certificate, config.Logf = "WEB1", cert, t.Logf
	if config.Password == nil {
		config.Password = func(user string) (string, bool) {
			h.asked.Add(1)
			return testPassword, user == testUser
		}
	}
	h.Server = wsman.New(config)
	var serving sync.WaitGroup
	listen := func(serve func(net.Listener) error) int {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		serving.Go(func() {
			if err := serve(l); err != nil {
				t.Errorf("serve: %v", err)
			}
		})
		return l.Addr().(*net.TCPAddr).Port
	}
	base := Config{
		Host: "web1", Address: "127.0.0.1", User: testUser, Password: testPassword,
		RetryDelay: 20 * time.Millisecond,
		// A Send that times out comes twice, and so it may: not here, however slow.
		OperationTimeout: time.Minute, Grace: time.Minute, Liveness: 5 * time.Minute, DialTimeout: time.Minute,
	}
	h.http, h.https = base, base
	h.http.Port = listen(h.Serve)
	h.https.Port, h.https.HTTPS, h.https.CAFile = listen(h.ServeTLS), true, ca
	t.Cleanup(func() {
		h.Close()
		serving.Wait()
	})
	return h
}

func (h *host) configs() map[string]Config {
	basic := h.https
	basic.Auth = AuthBasic
	return map[string]Config{"http ntlm": h.http, "https ntlm": h.https, "https basic": basic}
}

func certificate(t testing.TB) (*tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "web1"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pemFile(t, der)
}

func pemFile(t testing.TB, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func dial(t *testing.T, cfg Config) transport.Conn {
	t.Helper()
	c, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// slowRunner begins commands that hold "sleep" and tells so only when told is
// closed.
type slowRunner struct {
	shRunner
	told chan struct{}
}

func (r slowRunner) Start(ctx context.Context, c wsman.Command) (wsman.Process, error) {
	p, err := r.shRunner.Start(ctx, c)
	if strings.Contains(c.Line, "sleep") {
		<-r.told
	}
	return p, err
}

// relay stands between client and host; it can hold its tongue, and keeps
// what the client said.
type relay struct {
	net.Listener
	dial   func() (net.Conn, error)
	silent atomic.Bool
	cut    chan struct{}

	mu   sync.Mutex
	said []byte
}

func startRelay(t *testing.T, port int) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startRelayOn(t, l, func() (net.Conn, error) { return net.Dial("tcp", net.JoinHostPort("127.0.0.1", portText(port))) })
}

func portText(port int) string { return strconv.Itoa(port) }

func startRelayOn(t *testing.T, l net.Listener, dial func() (net.Conn, error)) *relay {
	r := &relay{Listener: l, dial: dial, cut: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { r.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		close(r.cut)
		wg.Wait()
	})
	return r
}

func (r *relay) port() int { return r.Addr().(*net.TCPAddr).Port }

func (r *relay) serve(c net.Conn) {
	defer c.Close()
	up, err := r.dial()
	if err != nil {
		return
	}
	defer up.Close()
	done := make(chan struct{}, 2)
	go func() { r.copy(up, c, true); done <- struct{}{} }()
	go func() { r.copy(c, up, false); done <- struct{}{} }()
	select {
	case <-done:
	case <-r.cut:
	}
}

func (r *relay) copy(to io.Writer, from io.Reader, client bool) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if client {
			r.mu.Lock()
			r.said = append(r.said, b[:n]...)
			r.mu.Unlock()
		}
		if r.silent.Load() {
			<-r.cut
			return
		}
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			return
		}
	}
}
