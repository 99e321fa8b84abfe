package scm_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/host/scm/wine"
)

// bench is what the contract runs against: a manager, and names of our own.
type bench struct {
	scm.Manager
	prefix string
	exe    string // of the child
	dir    string
}

// contract is what every Manager keeps.
var contract = []struct {
	name string
	run  func(*testing.T, context.Context, bench)
}{
	{"unknown service", unknownService},
	{"ensure and spec", ensureAndSpec},
	{"start and stop", startAndStop},
	{"environment and arguments", environmentAndArguments},
	{"exit before ready", exitBeforeReady},
	{"exit while running", exitWhileRunning},
	{"crash", crashed},
	{"missing executable", missingExecutable},
	{"disabled", disabled},
	{"deaf service is killed with its tree", deafIsKilled},
	{"reconfigure while running", reconfigureWhileRunning},
	{"owns its port and its child's", ownsPorts},
	{"delete and create again", deleteAndCreate},
	{"concurrent starts and stops", concurrent},
	{"cancelled start", cancelledStart},
}

func testContract(t *testing.T, b bench) {
	dir, err := os.MkdirTemp("", "shipper-scm") // not TempDir: Wine fails in RemoveAll
	if err != nil {
		t.Fatal(err)
	}
	b.dir = dir
	t.Cleanup(func() { os.Remove(dir) })
	for i, c := range contract {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			b := b
			b.prefix = fmt.Sprintf("%s%d-", b.prefix, i)
			t.Cleanup(func() { b.clean(t) })
			c.run(t, ctx, b)
		})
	}
}

// clean removes the test's services; its context is gone by then.
func (b bench) clean(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	names, err := b.List(ctx, b.prefix)
	if err != nil {
		t.Errorf("list: %v", err)
	}
	for _, name := range names {
		if err := errors.Join(b.Stop(ctx, name, 5*time.Second), b.Delete(ctx, name)); err != nil {
			t.Errorf("clean: %v", err)
		}
	}
}

func (b bench) spec(args ...string) scm.Spec {
	return scm.Spec{Name: b.prefix + "blue", DisplayName: "Blue of " + b.prefix, Description: "a test",
		Executable: b.exe, Args: append([]string{childArg}, args...), Start: scm.Manual}
}

func (b bench) ensure(t *testing.T, ctx context.Context, s scm.Spec) string {
	t.Helper()
	if err := b.Ensure(ctx, s); err != nil {
		t.Fatalf("ensure: %v", err)
	}
	return s.Name
}

// begin ensures and starts the service.
func (b bench) begin(t *testing.T, ctx context.Context, s scm.Spec) string {
	t.Helper()
	name := b.ensure(t, ctx, s)
	if err := b.Start(ctx, name); err != nil {
		t.Fatalf("start: %v", err)
	}
	return name
}

func (b bench) status(t *testing.T, ctx context.Context, name string) scm.Status {
	t.Helper()
	s, err := b.Status(ctx, name)
	if err != nil {
		t.Fatalf("status: %v", err)
	}
	return s
}

// await looks until ok; the service manager of Windows gives no events.
func await(t *testing.T, ctx context.Context, what string, ok func() bool) {
	t.Helper()
	for tick := time.NewTicker(10 * time.Millisecond); !ok(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: did not happen", what)
		}
	}
}

func unknownService(t *testing.T, ctx context.Context, b bench) {
	name := b.prefix + "none"
	if s := b.status(t, ctx, name); s.State != scm.Absent {
		t.Errorf("state = %s, want absent", s.State)
	}
	if err := b.Start(ctx, name); !errors.Is(err, scm.ErrNotFound) {
		t.Errorf("start: %v, want not found", err)
	}
	if _, err := b.Spec(ctx, name); !errors.Is(err, scm.ErrNotFound) {
		t.Errorf("spec: %v, want not found", err)
	}
	if err := errors.Join(b.Stop(ctx, name, time.Second), b.Delete(ctx, name)); err != nil {
		t.Errorf("stop and delete: %v, want nil", err)
	}
	if owns, err := b.Owns(ctx, name, 1); owns || err != nil {
		t.Errorf("owns = %v, %v", owns, err)
	}
	for _, bad := range []scm.Spec{
		{Name: "a$b", Executable: b.exe, Start: scm.Manual},
		{Name: b.prefix + "x", Executable: "relative.exe", Start: scm.Manual},
		{Name: b.prefix + "x", Executable: b.exe},
	} {
		if err := b.Ensure(ctx, bad); err == nil {
			t.Errorf("ensure %+v: no error", bad)
		}
	}
}

func ensureAndSpec(t *testing.T, ctx context.Context, b bench) {
	s := b.spec("serve", "two words", `quote"d`, "")
	s.Env = []string{"A=1", "B=two words"}
	s.Recovery = []time.Duration{time.Second, 2 * time.Second}
	s.ResetPeriod = time.Hour
	s.PreshutdownTimeout = 70 * time.Second
	s.StopTimeout = 45 * time.Second
	s.DependsOn = []string{b.depend(t, ctx), b.prefix + "other"}
	b.ensure(t, ctx, s)
	b.sameSpec(t, ctx, s)

	s.Description, s.Start = "changed", scm.Auto
	s.Args, s.Env, s.Recovery, s.ResetPeriod = []string{childArg, "serve"}, nil, nil, 0
	s.StopTimeout, s.DependsOn = 0, nil
	b.ensure(t, ctx, s)
	b.sameSpec(t, ctx, s)

	names, err := b.List(ctx, s.Name[:len(s.Name)-1])
	if err != nil || !slices.Equal(names, []string{s.Name}) {
		t.Errorf("list = %q, %v", names, err)
	}
}

// depend makes a service for others to depend on.
func (b bench) depend(t *testing.T, ctx context.Context) string {
	t.Helper()
	s := b.spec("serve")
	s.Name, s.DisplayName = b.prefix+"dependency", "Dependency of "+b.prefix
	return b.ensure(t, ctx, s)
}

func (b bench) sameSpec(t *testing.T, ctx context.Context, want scm.Spec) {
	t.Helper()
	got, err := b.Spec(ctx, want.Name)
	if err != nil {
		t.Fatalf("spec: %v", err)
	}
	if wine.Detected() { // keeps no recovery actions
		want.Recovery, want.ResetPeriod = nil, 0
	}
	if got.KeepsNoRecovery != wine.Detected() {
		t.Errorf("keeps no recovery actions: %v", got.KeepsNoRecovery)
	}
	if want.PreshutdownTimeout == 0 { // the system's default, if it has one
		got.PreshutdownTimeout = 0
	}
	if got.Executable != want.Executable || !slices.Equal(got.Args, want.Args) || !slices.Equal(got.Env, want.Env) ||
		got.Start != want.Start || got.Description != want.Description || got.DisplayName != want.DisplayName ||
		!slices.Equal(got.Recovery, want.Recovery) || got.ResetPeriod != want.ResetPeriod ||
		got.PreshutdownTimeout != want.PreshutdownTimeout || got.StopTimeout != want.StopTimeout ||
		!slices.Equal(got.DependsOn, want.DependsOn) {
		t.Errorf("spec = %+v\nwant %+v", got, want)
	}
}

func startAndStop(t *testing.T, ctx context.Context, b bench) {
	before := time.Now().Add(-2 * time.Second)
	name := b.begin(t, ctx, b.spec("serve"))
	s := b.status(t, ctx, name)
	if s.State != scm.Running || s.PID == 0 || s.Started.Before(before) || s.Started.After(time.Now().Add(2*time.Second)) {
		t.Errorf("status = %+v", s)
	}
	if err := b.Start(ctx, name); err != nil {
		t.Errorf("second start: %v", err)
	}
	if again := b.status(t, ctx, name); again.PID != s.PID || !again.Started.Equal(s.Started) {
		t.Errorf("second start changed %+v to %+v", s, again)
	}
	if err := b.Stop(ctx, name, 20*time.Second); err != nil {
		t.Errorf("stop: %v", err)
	}
	if s := b.status(t, ctx, name); s.State != scm.Stopped || s.PID != 0 || s.Exit != 0 {
		t.Errorf("status after stop = %+v", s)
	}
	if err := b.Stop(ctx, name, time.Second); err != nil {
		t.Errorf("second stop: %v", err)
	}
}

func environmentAndArguments(t *testing.T, ctx context.Context, b bench) {
	out := filepath.Join(b.dir, "environment out")
	defer os.Remove(out)
	s := b.spec("tell", out, `a "b" c`)
	s.Env = []string{"SHIPPER_TEST=some value", "PORT=8080"}
	b.begin(t, ctx, s)
	want := strings.Join([]string{"some value", "8080", `a "b" c`, "end"}, "\n")
	var got []byte
	await(t, ctx, "the service's report", func() bool {
		got, _ = os.ReadFile(out)
		return strings.HasSuffix(string(got), "end")
	})
	if string(got) != want {
		t.Errorf("the service saw %q, want %q", got, want)
	}
}

func exitBeforeReady(t *testing.T, ctx context.Context, b bench) {
	name := b.ensure(t, ctx, b.spec("fail", "17"))
	err := b.Start(ctx, name)
	var start *scm.StartError
	if err != nil && (!errors.As(err, &start) || start.Exit != 17) {
		t.Errorf("start: %v, want exit code 17", err)
	}
	await(t, ctx, "exit code", func() bool {
		s := b.status(t, ctx, name)
		return s.State == scm.Stopped && s.Exit == 17 && s.PID == 0
	})
}

func exitWhileRunning(t *testing.T, ctx context.Context, b bench) {
	l := rendezvous(t)
	name := b.begin(t, ctx, b.spec("fail-when-called", l.Addr().String(), "23"))
	meet(t, l)
	await(t, ctx, "exit code", func() bool {
		s := b.status(t, ctx, name)
		return s.State == scm.Stopped && s.Exit == 23
	})
}

func crashed(t *testing.T, ctx context.Context, b bench) {
	name := b.begin(t, ctx, b.spec("serve"))
	before := b.status(t, ctx, name)
	crash(t, before.PID)
	await(t, ctx, "crash", func() bool {
		s := b.status(t, ctx, name)
		return s.State == scm.Stopped && s.PID == 0 && s.Exit != 0
	})
	if err := b.Start(ctx, name); err != nil {
		t.Errorf("start after crash: %v", err)
	}
	if s := b.status(t, ctx, name); s.State != scm.Running || s.PID == 0 || s.Started.Equal(before.Started) {
		t.Errorf("status = %+v", s)
	}
}

func crash(t *testing.T, pid uint32) {
	t.Helper()
	p, err := os.FindProcess(int(pid))
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func missingExecutable(t *testing.T, ctx context.Context, b bench) {
	s := b.spec()
	s.Executable += ".missing.exe"
	err := b.Start(ctx, b.ensure(t, ctx, s))
	var start *scm.StartError
	if !errors.As(err, &start) || start.Code != scm.CodeFileNotFound {
		t.Errorf("start: %v, want code %d", err, scm.CodeFileNotFound)
	}
}

func disabled(t *testing.T, ctx context.Context, b bench) {
	s := b.spec("serve")
	s.Start = scm.Disabled
	err := b.Start(ctx, b.ensure(t, ctx, s))
	var start *scm.StartError
	if !errors.As(err, &start) || start.Code != scm.CodeDisabled {
		t.Errorf("start: %v, want code %d", err, scm.CodeDisabled)
	}
}

func deafIsKilled(t *testing.T, ctx context.Context, b bench) {
	l := rendezvous(t)
	s := b.spec("deaf-with-child", l.Addr().String())
	s.Recovery = []time.Duration{0} // must not bring it back
	name := b.begin(t, ctx, s)
	grandchild := meetConn(t, l)
	readPort(t, grandchild)
	if err := b.Stop(ctx, name, 300*time.Millisecond); err != nil {
		t.Errorf("stop: %v", err)
	}
	if s := b.status(t, ctx, name); s.State != scm.Stopped || s.PID != 0 {
		t.Errorf("status = %+v", s)
	}
	if d, _ := ctx.Deadline(); grandchild.SetReadDeadline(d) != nil {
		t.Fatal("no deadline")
	}
	var ne net.Error
	if _, err := grandchild.Read(make([]byte, 1)); err == nil || errors.As(err, &ne) && ne.Timeout() {
		t.Errorf("the grandchild lives: %v", err)
	}
	b.sameSpec(t, ctx, s)
}

func reconfigureWhileRunning(t *testing.T, ctx context.Context, b bench) {
	s := b.spec("serve")
	name := b.begin(t, ctx, s)
	before := b.status(t, ctx, name)
	s.Start, s.Recovery = scm.Auto, []time.Duration{time.Minute}
	b.ensure(t, ctx, s)
	if after := b.status(t, ctx, name); after != before {
		t.Errorf("ensure changed %+v to %+v", before, after)
	}
	if err := b.Delete(ctx, name); err == nil {
		t.Error("a running service was deleted")
	}
	b.sameSpec(t, ctx, s)
}

func ownsPorts(t *testing.T, ctx context.Context, b bench) {
	l := rendezvous(t)
	mine := b.begin(t, ctx, b.spec("listen-with-child", l.Addr().String()))
	c := meetConn(t, l)
	own, child := readPort(t, c), readPort(t, c)
	other := b.spec("serve")
	other.Name, other.DisplayName = b.prefix+"green", "Green of "+b.prefix
	b.begin(t, ctx, other)

	ours := l.Addr().(*net.TCPAddr).Port // this test's own
	for _, c := range []struct {
		service string
		port    int
		want    bool
	}{{mine, own, true}, {mine, child, true}, {mine, ours, false}, {other.Name, own, false}, {mine, 1, false}} {
		got, err := b.Owns(ctx, c.service, c.port)
		if err != nil || got != c.want {
			t.Errorf("owns(%s, %d) = %v, %v, want %v", c.service, c.port, got, err, c.want)
		}
	}
}

func deleteAndCreate(t *testing.T, ctx context.Context, b bench) {
	s := b.spec("serve")
	for range 3 {
		name := b.begin(t, ctx, s)
		if err := b.Stop(ctx, name, 20*time.Second); err != nil {
			t.Fatalf("stop: %v", err)
		}
		if err := b.Delete(ctx, name); err != nil {
			t.Fatalf("delete: %v", err)
		}
		if s := b.status(t, ctx, name); s.State != scm.Absent {
			t.Fatalf("state after delete = %s", s.State)
		}
	}
}

// concurrent: whatever the order, each call ends and the last word holds.
func concurrent(t *testing.T, ctx context.Context, b bench) {
	name := b.ensure(t, ctx, b.spec("serve"))
	ended := make(chan struct{})
	for range 3 {
		go func() { _ = b.Start(ctx, name); ended <- struct{}{} }()
		go func() { _ = b.Stop(ctx, name, 20*time.Second); ended <- struct{}{} }()
	}
	for range 6 {
		<-ended
	}
	if err := b.Stop(ctx, name, 20*time.Second); err != nil {
		t.Errorf("stop: %v", err)
	}
	if s := b.status(t, ctx, name); s.State != scm.Stopped || s.PID != 0 {
		t.Errorf("status = %+v", s)
	}
	if err := b.Start(ctx, name); err != nil {
		t.Errorf("start: %v", err)
	}
}

func cancelledStart(t *testing.T, ctx context.Context, b bench) {
	name := b.ensure(t, ctx, b.spec("never-ready"))
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	err := b.Start(short, name)
	if s := b.status(t, ctx, name); err == nil && s.State != scm.Running || err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("start: %v, state %s", err, s.State)
	}
	if err := b.Stop(ctx, name, 20*time.Second); err != nil {
		t.Errorf("stop while starting: %v", err)
	}
}

// rendezvous is where a child meets its test: no sleeps, no files.
func rendezvous(t *testing.T) *net.TCPListener {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

func meetConn(t *testing.T, l *net.TCPListener) net.Conn {
	t.Helper()
	l.SetDeadline(time.Now().Add(time.Minute))
	c, err := l.Accept()
	if err != nil {
		t.Fatalf("the child did not call: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func meet(t *testing.T, l *net.TCPListener) {
	t.Helper()
	meetConn(t, l).Close()
}

// readPort reads five digits.
func readPort(t *testing.T, c net.Conn) int {
	t.Helper()
	b := make([]byte, 5)
	c.SetReadDeadline(time.Now().Add(time.Minute))
	for n := 0; n < len(b); {
		m, err := c.Read(b[n:])
		if err != nil {
			t.Fatalf("read port: %v", err)
		}
		n += m
	}
	port, err := strconv.Atoi(string(b))
	if err != nil {
		t.Fatal(err)
	}
	return port
}
