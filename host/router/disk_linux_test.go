package router

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

const smallDisk = "SHIPPER_SMALL_DISK"

// TestAFullDiskEndsOnStable runs itself again where a small disk is mounted,
// which nobody else sees.
func TestAFullDiskEndsOnStable(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv(smallDisk); dir != "" {
		mountSmall(t, dir)
		overAFullDisk(t, dir)
		return
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAFullDiskEndsOnStable$", "-test.v")
	again.Env = append(os.Environ(), smallDisk+"="+t.TempDir())
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if id := os.Getuid(); id != 0 {
		again.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		again.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
		again.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := again.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || bytes.Contains(out, []byte("--- SKIP: ")) {
		t.Skip("no disk may be mounted here")
	}
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestAFullDiskEndsOnStable")) {
		t.Fatalf("%v\n%s", err, out)
	}
}

func mountSmall(t *testing.T, dir string) {
	t.Helper()
	err := errors.Join(
		syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=0700"),
	)
	switch {
	case errors.Is(err, syscall.EPERM):
		t.Skip(err)
	case err != nil:
		t.Fatalf("mount: %v", err)
	}
}

// fill leaves no room for a single byte.
func fill(t *testing.T, dir string) (ballast string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "ballast"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, os.Getpagesize()))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return f.Name()
}

// overAFullDisk: weights go on being set and ending, what has to last is
// refused and changes nothing, and no request is lost over it.
func overAFullDisk(t *testing.T, dir string) {
	c, said := newClock(), &words{}
	o := Options{Dir: dir, Now: c.Now, Log: slog.New(slog.NewTextHandler(said, nil))}
	r := start(t, o)
	route := r.route(serve(t, echo), serve(t, echo), 0)
	route.AccessLog = rpc.AccessLog{On: true, MaxBytes: 1 << 20, Keep: 1}
	r.put(route)
	l := startLoad(t, r, http.MethodGet, http.MethodPost)
	l.wait(r, 50)
	fill(t, dir)
	route.Canary, route.Weight, route.Lease = release.Green, release.Full, time.Minute
	v := r.put(route)
	green := r.counters(release.Green).Requests
	l.wait(r, 100)
	if now := r.counters(release.Green).Requests; now == green {
		t.Error("the canary got nothing")
	}
	if _, err := r.Put(r.ctx, committed(route), v.Generation); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("a commit that nothing can keep: %v", err)
	}
	c.add(route.Lease)
	l.wait(r, 100)
	if n, failures := l.end(); len(failures) > 0 {
		t.Errorf("%d of %d requests failed, the first: %v", len(failures), n, failures[0])
	}
	r.eventually("what was drawn before is counted", func() bool { return r.view().Inflight[release.Green] == 0 })
	green = r.counters(release.Green).Requests
	for range 20 {
		r.get("/echo?a;b=1")
	}
	if now := r.counters(release.Green).Requests; now != green || !r.view().Expired {
		t.Errorf("the canary got %d requests after its lease, view %+v", now-green, r.view())
	}
	startOnAFullDisk(t, o, r, said)
}

// startOnAFullDisk: clients are served by stable from the start, and who
// drives the router finds it once there is room.
func startOnAFullDisk(t *testing.T, o Options, before *rig, said *words) {
	t.Helper()
	if err := before.stop(); err != nil {
		t.Error(err)
	}
	ballast := fill(t, o.Dir)
	r := launch(t, o)
	r.listen = before.listen
	r.eventually("stable answers", func() bool {
		status, _, err := r.fetch("/echo?a;b=1", true)
		return err == nil && status == http.StatusOK
	})
	r.eventually("it is said", func() bool { return strings.Contains(said.String(), "no space left on device") })
	if _, err := os.Stat(filepath.Join(o.Dir, controlName)); err == nil {
		t.Error("the disk is not full")
	}
	if err := errors.Join(os.Remove(ballast), r.Ready(r.ctx)); err != nil {
		t.Fatal(err)
	}
	v := r.view()
	if v.Stable != release.Blue || v.Canary != "" || r.counters(release.Green).Requests != 0 {
		t.Errorf("restored %+v", v)
	}
	if _, err := r.Put(r.ctx, committed(v.Route), v.Generation); err != nil {
		t.Error(err)
	}
}

func committed(r Route) Route {
	r.Stable, r.Canary, r.Weight, r.Lease = release.Green, "", 0, 0
	return r
}

// words are what was logged.
type words struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}
