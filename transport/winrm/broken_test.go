//go:build !windows

package winrm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/wsman"
	"github.com/go-shipper/shipper/transport"
)

// A host that takes connections and says nothing ends every wait.
func TestSilentHost(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, https := range []bool{false, true} {
		_, err = Dial(t.Context(), Config{
			Host: "web1", Address: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, HTTPS: https, User: "u",
			DialTimeout: 50 * time.Millisecond, Liveness: 200 * time.Millisecond, RetryDelay: time.Millisecond,
		})
		denied(t, err, transport.Unreachable, hintUnreachable)
	}
}

// A host that falls silent in the middle ends every wait too.
func TestHostFallsSilent(t *testing.T) {
	t.Parallel()
	h := startHost(t, wsman.Limits{})
	r := startRelay(t, h.http.Port)
	cfg := h.http
	cfg.Port, cfg.RetryDelay = r.port(), time.Millisecond
	cfg.OperationTimeout, cfg.Grace, cfg.Liveness = 100*time.Millisecond, 4*time.Second, 5*time.Second
	c := dial(t, cfg)
	p, err := c.Pipe(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	r.silent.Store(true)
	var e *transport.Error
	if _, err := p.Read(make([]byte, 1)); !errors.As(err, &e) {
		t.Errorf("read: %v", err)
	}
	if _, err := p.Write([]byte("y")); !errors.As(err, &e) {
		t.Errorf("write: %v", err)
	}
	if _, err := c.Run(t.Context(), "true", nil); !errors.As(err, &e) {
		t.Errorf("run: %v", err)
	}
	if err := c.Close(); err == nil {
		t.Error("close of a silent host: no error")
	}
}

// Whatever byte a connection is cut at, the stream stays whole: the host
// acted on nothing, or its answer is asked for again.
func TestCutConnections(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	for name, cfg := range h.configs() {
		t.Run(name, func(t *testing.T) {
			c := dial(t, cfg)
			defer c.Close()
			p, err := c.Pipe(t.Context(), "cat")
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range []int64{1, 500, 70_000, 400_000} {
				h.SetFaults(wsman.Faults{CutAfterBytes: at})
				want := bytes.Repeat([]byte{byte(at), 1, 2, 3}, p.MaxWrite()/4)
				if _, err := p.Write(want); err != nil {
					t.Fatalf("cut at %d: write: %v", at, err)
				}
				got := make([]byte, len(want))
				if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("cut at %d: read: %v, equal %t", at, err, bytes.Equal(got, want))
				}
			}
		})
	}
}

// Data that was delivered although the host said it timed out comes twice
// and whole; the protocol above drops it.
func TestSendTimedOutButDelivered(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	c := dial(t, h.http)
	defer c.Close()
	p, err := c.Pipe(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	h.SetFaults(wsman.Faults{HoldSends: 1})
	if _, err := p.Write([]byte("frame ")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 12)
	if _, err := io.ReadFull(p, got); err != nil || string(got) != "frame frame " {
		t.Errorf("%q, %v", got, err)
	}
}

// The input of a plain command has no such protocol: it fails instead.
func TestCommandInputIsNeverDoubled(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	c := dial(t, h.http)
	defer c.Close()
	h.SetFaults(wsman.Faults{HoldSends: 1})
	r, err := c.Run(t.Context(), "cat", strings.NewReader("once"))
	var f *Fault
	if !errors.As(err, &f) || f.Code != codeTimedOut {
		t.Errorf("%q, %v", r.Stdout, err)
	}
}

// A program that does not read holds Write back, and loses nothing: the host
// answers "timed out", then "busy", until the program reads.
func TestSlowReader(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	cfg := h.http
	cfg.OperationTimeout = 50 * time.Millisecond
	c := dial(t, cfg)
	defer c.Close()
	gate := t.TempDir() + "/gate"
	p, err := c.Pipe(t.Context(), "while [ ! -e "+gate+" ]; do sleep 0.05; done; wc -c")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := p.Write(make([]byte, p.MaxWrite()))
		done <- err
	}()
	time.AfterFunc(300*time.Millisecond, func() { _, _ = c.Run(t.Context(), "touch "+gate, nil) })
	if err := <-done; err != nil {
		t.Errorf("write: %v", err)
	}
}

// Power cut: the host is gone, and all shells with it.
func TestHostDies(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	c := dial(t, h.http)
	p, err := c.Pipe(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	var e *transport.Error
	if _, err := p.Read(make([]byte, 1)); !errors.As(err, &e) || e.Kind != transport.Unreachable {
		t.Errorf("read: %v", err)
	}
	if _, err := p.Write([]byte("x")); !errors.As(err, &e) {
		t.Errorf("write: %v", err)
	}
	c.Close()
}

// A command that is cancelled before the host has told its name is ended all
// the same.
func TestCancelledWhileStarting(t *testing.T) {
	runner := slowRunner{told: make(chan struct{})}
	h := startHostAs(t, wsman.Config{Runner: runner})
	tell := sync.OnceFunc(func() { close(runner.told) })
	t.Cleanup(tell)
	c := dial(t, h.http)
	defer c.Close()
	file := filepath.Join(t.TempDir(), "alive")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("changed my mind")
	done := make(chan error, 1)
	go func() {
		_, err := c.Run(ctx, "echo $$ >"+file+"; exec sleep 600", nil)
		done <- err
	}()
	pid := awaitPID(t, file)
	cancel(why)
	if err := <-done; !errors.Is(err, why) {
		t.Errorf("error %v, want its cause %v", err, why)
	}
	tell()
	poll(t, "the end of the command", func() bool { return syscall.Kill(pid, 0) != nil })
}

func awaitPID(t *testing.T, file string) (pid int) {
	t.Helper()
	poll(t, "the start of the command", func() bool {
		b, err := os.ReadFile(file)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		}
		return err == nil
	})
	return pid
}

func poll(t *testing.T, what string, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(2 * time.Minute)
	for !happened() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("waited in vain for " + what)
		}
	}
}
