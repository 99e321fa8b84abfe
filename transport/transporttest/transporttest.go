// Package transporttest is the contract that every transport keeps.
package transporttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/go-shipper/shipper/transport"
)

// Host is a host under test.
type Host struct {
	Dial func(*testing.T) transport.Conn
	// Probe is the path of the probe program there, Temp a folder there;
	// neither needs quotes.
	Probe, Temp string
	// Read reads a file of the host; nil means that it is this machine.
	Read func(file string) ([]byte, error)
}

const patience = 2 * time.Minute

// Build compiles the probe program and returns its path.
func Build(t testing.TB, goos, goarch string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "probe.exe")
	cmd := exec.Command("go", "build", "-o", file, "github.com/go-shipper/shipper/transport/transporttest/probe")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0") // empty means this system
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build probe: %v\n%s", err, out)
	}
	return file
}

// Run holds a host's transport against the contract.
func Run(t *testing.T, h Host) {
	if h.Read == nil {
		h.Read = os.ReadFile
	}
	t.Run("exit code and both streams", h.exit)
	t.Run("stdin of a command", h.stdin)
	t.Run("input that outlives its command", h.inputOutlives)
	t.Run("input that fails", h.inputFails)
	t.Run("bytes through a pipe", h.bytes)
	t.Run("two pipes at once", h.twoPipes)
	t.Run("end of a program behind a pipe", h.end)
	t.Run("write that is too large", h.tooLarge)
	t.Run("lanes beside a pipe", h.lanes)
	t.Run("cancelled command", h.cancelled)
	t.Run("close of a pipe kills its tree", h.closePipe)
	t.Run("close of the connection kills everything", h.closeConn)
	t.Run("use after close", h.afterClose)
}

func (h Host) dial(t *testing.T) (transport.Conn, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	c := h.Dial(t)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		cancel()
	})
	return c, ctx
}

func (h Host) exit(t *testing.T) {
	c, ctx := h.dial(t)
	for _, code := range []int{0, 1, 3, 100} {
		r, err := c.Run(ctx, h.Probe+" exit "+strconv.Itoa(code), nil)
		if err != nil || r.Exit != code {
			t.Fatalf("exit %d: got %d, %v", code, r.Exit, err)
		}
		if strings.TrimSpace(string(r.Stdout)) != "to stdout" || strings.TrimSpace(wineQuiet(r.Stderr)) != "to stderr" {
			t.Errorf("streams %q, %q", r.Stdout, r.Stderr)
		}
	}
}

// wineQuiet is what a program said, without what Wine itself writes to its
// stderr when the program's last threads end in an unlucky order.
func wineQuiet(stderr []byte) string {
	var out strings.Builder
	for line := range strings.Lines(string(stderr)) {
		if !strings.HasPrefix(line, "wine client error:") {
			out.WriteString(line)
		}
	}
	return out.String()
}

func (h Host) stdin(t *testing.T) {
	c, ctx := h.dial(t)
	for _, size := range []int{0, 1, 1000, 700_000} {
		want := noise(size, uint64(size))
		r, err := c.Run(ctx, h.Probe+" echo", bytes.NewReader(want))
		if err != nil || r.Exit != 0 || !bytes.Equal(r.Stdout, want) {
			t.Fatalf("%d bytes: %d came back, exit %d, %v", size, len(r.Stdout), r.Exit, err)
		}
	}
	r, err := c.Run(ctx, h.Probe+" echo", nil)
	if err != nil || r.Exit != 0 || len(r.Stdout) != 0 {
		t.Fatalf("no input: %+v, %v", r, err)
	}
}

func (h Host) inputOutlives(t *testing.T) {
	c, ctx := h.dial(t)
	endless, w := io.Pipe()
	defer w.Close()
	r, err := c.Run(ctx, h.Probe+" exit 3", endless)
	if err != nil || r.Exit != 3 || strings.TrimSpace(string(r.Stdout)) != "to stdout" {
		t.Errorf("%+v, %v", r, err)
	}
}

func (h Host) inputFails(t *testing.T) {
	c, ctx := h.dial(t)
	why := errors.New("no such file")
	if _, err := c.Run(ctx, h.Probe+" echo", io.MultiReader(strings.NewReader("begin"), iotest.ErrReader(why))); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
}

func (h Host) bytes(t *testing.T) {
	c, ctx := h.dial(t)
	roundTrip(ctx, t, c, h.Probe+" echo", 2<<20, 1)
}

func (h Host) twoPipes(t *testing.T) {
	c, ctx := h.dial(t)
	var wg sync.WaitGroup
	for i := range uint64(2) {
		wg.Go(func() { roundTrip(ctx, t, c, h.Probe+" echo", 600_000, i) })
	}
	wg.Wait()
}

// roundTrip sends size bytes in the largest pieces and expects them back.
func roundTrip(ctx context.Context, t *testing.T, c transport.Conn, line string, size int, seed uint64) {
	p, err := c.Pipe(ctx, line)
	if err != nil {
		t.Error(err)
		return
	}
	defer p.Close()
	want := noise(size, seed)
	go func() {
		for b := want; len(b) > 0; {
			n, err := p.Write(b[:min(len(b), p.MaxWrite())])
			if err != nil {
				t.Errorf("write: %v", err)
				p.Close()
				return
			}
			b = b[n:]
		}
	}()
	got := make([]byte, size)
	if _, err := io.ReadFull(p, got); err != nil {
		t.Errorf("read: %v", err)
	} else if sha256.Sum256(got) != sha256.Sum256(want) {
		t.Error("other bytes came back")
	}
}

func (h Host) end(t *testing.T) {
	c, ctx := h.dial(t)
	for code, want := range map[int]error{0: nil, 7: &transport.Exited{Code: 7}} {
		p, err := c.Pipe(ctx, h.Probe+" exit "+strconv.Itoa(code))
		if err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(p)
		var exited *transport.Exited
		if strings.TrimSpace(string(out)) != "to stdout" || (want == nil) != (err == nil) {
			t.Errorf("exit %d: read %q, %v", code, out, err)
		}
		if errors.As(err, &exited) && (exited.Code != code || !bytes.Contains(exited.Stderr, []byte("to stderr"))) {
			t.Errorf("exit %d: %+v", code, exited)
		}
		p.Close()
	}
}

func (h Host) tooLarge(t *testing.T) {
	c, ctx := h.dial(t)
	p, err := c.Pipe(ctx, h.Probe+" echo")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Write(make([]byte, p.MaxWrite()+1)); err == nil {
		t.Error("accepted")
	}
}

func (h Host) cancelled(t *testing.T) {
	c, ctx := h.dial(t)
	ctx, cancel := context.WithCancelCause(ctx)
	file := h.Temp + "/cancelled"
	why := errors.New("changed my mind")
	done := make(chan error, 1)
	go func() {
		_, err := c.Run(ctx, h.Probe+" touch "+file, nil)
		done <- err
	}()
	h.awaitLife(t, file)
	cancel(why)
	select {
	case err := <-done:
		if !errors.Is(err, why) {
			t.Errorf("error %v, want its cause %v", err, why)
		}
	case <-time.After(patience):
		t.Fatal("did not return")
	}
	h.awaitDeath(t, file)
}

func (h Host) closePipe(t *testing.T) {
	c, ctx := h.dial(t)
	file := h.Temp + "/pipe"
	p, err := c.Pipe(ctx, h.Probe+" spawn "+file)
	if err != nil {
		t.Fatal(err)
	}
	h.awaitLife(t, file)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	h.awaitDeath(t, file)
	if _, err := p.Read(make([]byte, 1)); err == nil {
		t.Error("read after close")
	}
	if r, err := c.Run(ctx, h.Probe+" exit 0", nil); err != nil || r.Exit != 0 {
		t.Errorf("command after a pipe: %+v, %v", r, err)
	}
}

func (h Host) closeConn(t *testing.T) {
	ctx := context.Background()
	c := h.Dial(t)
	if _, err := c.Pipe(ctx, h.Probe+" spawn "+h.Temp+"/conn"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := c.Run(ctx, h.Probe+" touch "+h.Temp+"/run", nil)
		done <- err
	}()
	h.awaitLife(t, h.Temp+"/conn")
	h.awaitLife(t, h.Temp+"/run")
	if err := c.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-done; err == nil {
		t.Error("a killed command succeeded")
	}
	h.awaitDeath(t, h.Temp+"/conn")
	h.awaitDeath(t, h.Temp+"/run")
}

func (h Host) afterClose(t *testing.T) {
	c := h.Dial(t)
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Run(context.Background(), h.Probe+" exit 0", nil); err == nil {
		t.Error("ran a command")
	}
	if p, err := c.Pipe(context.Background(), h.Probe+" echo"); err == nil {
		p.Close()
		t.Error("opened a pipe")
	}
}

// awaitLife returns when a touched file changed.
func (h Host) awaitLife(t *testing.T, file string) {
	t.Helper()
	first := h.content(file)
	h.await(t, "does not live", func() bool {
		now := h.content(file)
		return now != "" && now != first
	})
}

// awaitDeath returns when the file no longer changes, over many of its beats.
func (h Host) awaitDeath(t *testing.T, file string) {
	t.Helper()
	last, same := "", 0
	h.await(t, "does not die", func() bool {
		now := h.content(file)
		if now != last {
			last, same = now, 0
		}
		same++
		return same > 50 // a second; it beats every 20 ms
	})
}

func (h Host) content(file string) string {
	b, err := h.Read(file)
	if err != nil {
		return ""
	}
	return string(b)
}

func (h Host) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal(what)
		}
	}
}

func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1})
	r.Read(b) //nolint:errcheck // never fails
	return b
}
