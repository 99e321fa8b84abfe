package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// TestMain lets this program be shipper-host itself: guard, router, wrapper.
func TestMain(m *testing.M) {
	prepare()
	if len(os.Args) > 1 {
		if _, ok := verbs()[os.Args[1]]; ok {
			main()
			return
		}
	}
	os.Exit(m.Run())
}

func shipperHost(in io.Reader, args ...string) (code int, out, err string) {
	var stdout, stderr bytes.Buffer
	code = run(args, streams{in: in, out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args string
		code int
		out  string
		err  string
	}{
		{"", 2, "", "error: no verb given\nhint: `shipper-host help` lists the verbs\n"},
		{"frobnicate", 2, "", "error: unknown verb \"frobnicate\"\n"},
		{"rollback", 2, "", "error: rollback: want `shipper-host rollback NAME [REASON]`\n"},
		{"rollback a b c", 2, "", "error: rollback: want"},
		{"status --bogus", 2, "", "error: flag provided but not defined: -bogus\n"},
		{"wrap", 2, "", "error: --config FILE belongs to wrap, and wrap needs it\n"},
		{"status --config x", 2, "", "error: --config FILE belongs to wrap"},
		{"wrap --config /nowhere/wrap.json", 1, "", "error: read wrapper configuration"},
		{"help", 0, "shipper-host is shipper on a Windows host.", ""},
		{"-h", 0, "shipper-host is", ""},
		{"status --help", 0, "shipper-host is", ""},
		{"version", 0, "shipper-host 0.0.0-unknown\ndigest  ", ""},
	} {
		code, out, err := shipperHost(strings.NewReader(""), strings.Fields(tt.args)...)
		if code != tt.code || !strings.HasPrefix(out, tt.out) || !strings.HasPrefix(err, tt.err) || tt.out == "" && out != "" {
			t.Errorf("%q: code %d, out %q, err %q", tt.args, code, out, err)
		}
	}
}

type panicking struct{}

func (panicking) Write([]byte) (int, error) { panic("boom") }

func TestPanicIsOneLine(t *testing.T) {
	var stderr bytes.Buffer
	code := run([]string{"version"}, streams{out: panicking{}, err: &stderr})
	if code != 1 || stderr.String() != "error: panic: boom\n" {
		t.Errorf("code %d, %q", code, stderr.String())
	}
}

func TestComplain(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("plain"), "error: plain\n"},
		{problem.Wrap(problem.Failed, errors.New("why"), "do it", "do that"), "error: do it: why\nhint: do that\n"},
		{fmt.Errorf("roll back x: %w", rpc.Errorf(rpc.CodeFailed, "look there", "no")), "error: roll back x: no\nhint: look there\n"},
	} {
		var b bytes.Buffer
		complain(&b, tt.err)
		if b.String() != tt.want {
			t.Errorf("got %q, want %q", b.String(), tt.want)
		}
	}
}

func TestRelayCarriesBothWaysAndEnds(t *testing.T) {
	guard, bridge := tcpPair(t)
	in, controller := io.Pipe()
	var out bytes.Buffer
	ended := make(chan error, 1)
	go func() { ended <- relay(t.Context(), bridge, in, &out) }()

	controller.Write([]byte("to the guard\x00\xff\r\n"))
	got := make([]byte, 16)
	if _, err := io.ReadFull(guard, got); err != nil || string(got) != "to the guard\x00\xff\r\n" {
		t.Fatalf("guard read %q, %v", got, err)
	}
	guard.Write([]byte("to the controller\x00"))
	controller.Close() // end of input: what the guard still says gets through
	if _, err := guard.Read(got); err != io.EOF {
		t.Fatalf("guard: %v, want the end", err)
	}
	guard.Write([]byte(", last words"))
	guard.Close()
	if err := <-ended; err != nil || out.String() != "to the controller\x00, last words" {
		t.Errorf("out %q, %v", out.String(), err)
	}
}

func TestRelayEndsWithTheGuard(t *testing.T) {
	guard, bridge := tcpPair(t)
	in, controller := io.Pipe() // says nothing, stays open
	defer controller.Close()
	guard.Close()
	if err := relay(t.Context(), bridge, in, io.Discard); err != nil {
		t.Error(err)
	}
}

func tcpPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp4", l.Addr().String()); err == nil {
		b, err = l.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestPrintStatus(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.Local)
	one := release.Release{Version: "1.0.0", Digest: "0123456789abcdef"}
	two := release.Release{Version: "2.0.0", Digest: "fedcba9876543210"}
	st := rpc.ServiceStatus{
		Service: "orders", Environment: "production", Known: true, Stable: release.Blue,
		Slots: map[release.Slot]rpc.SlotStatus{
			release.Blue:  {Release: one, Port: 8081, Live: rpc.InstanceState{State: "running", PID: 7}},
			release.Green: {Release: two, Port: 8082, Live: rpc.InstanceState{State: "stopped", Exit: 3}},
		},
		Traffic:  &rpc.Traffic{Weights: map[release.Slot]release.Weight{release.Blue: 9500, release.Green: 500}},
		Session:  &rpc.Session{Verb: "deploy", Run: "r1", Owner: "ann", Since: at, Remaining: 12 * time.Second},
		Run:      &rpc.RunStatus{ID: "r1", Verb: "deploy", State: "Running", Release: two, Why: "step 2"},
		WarmFor:  90 * time.Second,
		Frozen:   "audit, by bob",
		Retained: []rpc.Retained{{Release: one, Committed: at, Rejected: true}},
		Notes:    []string{"restored"},
	}
	var b bytes.Buffer
	printStatus(&b, st)
	want := `orders (production)
  blue     1.0.0 (0123456789ab), running (process 7), port 8081, 95% of the traffic, stable
  green    2.0.0 (fedcba987654), stopped (exit code 3), port 8082, 5% of the traffic
  session  deploy r1 by ann since 2026-03-04 05:06:07, lease ends in 12s
  run      deploy r1 of 2.0.0 (fedcba987654): Running: step 2
  warm     the idle slot stays ready for 1m30s
  frozen   audit, by bob
  kept     1.0.0 (0123456789ab), committed 2026-03-04 05:06:07, rejected
  note     restored
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// pipe is the two ends of a bridge that runs in this process.
type pipe struct {
	io.Reader
	io.WriteCloser
}

// bridge is serve in this process and a client that speaks through it.
type bridge struct {
	client *rpc.Client
	ended  chan int
	err    error
}

func newBridge(ctx context.Context, root string) bridge {
	in, controller := io.Pipe()
	answers, out := io.Pipe()
	b := bridge{ended: make(chan int, 1)}
	var stderr bytes.Buffer
	go func() {
		code := run([]string{"serve", "--root", root}, streams{in: in, out: out, err: &stderr})
		out.CloseWithError(fmt.Errorf("serve ended with %d: %s", code, stderr.String()))
		b.ended <- code
	}()
	b.client, _, b.err = rpc.Dial(ctx, pipe{answers, controller}, rpc.Hello{Protocol: rpc.Protocol, Version: "test"})
	return b
}

// check lists the services, of which there are none, and ends the bridge.
func (b bridge) check(t *testing.T) {
	t.Helper()
	if b.err != nil {
		t.Fatalf("hello through the bridge: %v", b.err)
	}
	names, err := b.client.List(t.Context())
	if err != nil || len(names) != 0 {
		t.Errorf("list: %v, %v", names, err)
	}
	b.client.Close()
	if code := <-b.ended; code != 0 {
		t.Errorf("serve ended with %d", code)
	}
}

// newRoot is a folder whose guard ends with the test.
func newRoot(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a guard")
	}
	dir, err := os.MkdirTemp("", "shipper-host")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endRoot(t, dir) })
	return dir
}

// endRoot removes the folder and waits for the guard's end.
func endRoot(t *testing.T, root string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := host.DialGuard(ctx, host.DefaultLayout(root))
	for range 100 { // the guard may write while the folder goes
		if os.RemoveAll(root) == nil {
			break
		}
	}
	if err != nil {
		return // there is none
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the guard outlives its root")
	}
}

func TestServeStartsOneGuardAndUsesIt(t *testing.T) {
	root := newRoot(t)
	if code, _, err := shipperHost(nil, "status", "--root", root); code != 1 || !strings.Contains(err, "hint: deploy a service to this host first") {
		t.Errorf("status before: %d, %q", code, err)
	}
	bridges := make(chan bridge)
	for range 3 { // at once: one guard wins
		go func() { bridges <- newBridge(t.Context(), root) }()
	}
	for range 3 {
		b := <-bridges
		b.check(t)
	}
	if code, out, err := shipperHost(nil, "--root", root, "status"); code != 0 || out != "no services here\n" {
		t.Errorf("status: %d, %q, %q", code, out, err)
	}
	if code, _, err := shipperHost(nil, "status", "--root", root, "nobody"); code != 1 || !strings.HasPrefix(err, "error: ") {
		t.Errorf("status nobody: %d, %q", code, err)
	}
	for _, verb := range []string{"rollback", "freeze", "thaw"} {
		code, _, err := shipperHost(nil, verb, "nobody", "--root", root)
		if code != 1 || !strings.Contains(err, "nobody is not known on this host") || !strings.Contains(err, "\nhint: ") {
			t.Errorf("%s nobody: %d, %q", verb, code, err)
		}
	}
	if code, _, err := shipperHost(nil, "guard", "--root", root); code != 0 {
		t.Errorf("second guard: %d, %q", code, err)
	}
	if _, err := os.Stat(guardLog(host.DefaultLayout(root))); err != nil {
		t.Errorf("no log: %v", err)
	}
}

// A guard that died is started again by the next verb.
func TestGuardComesBack(t *testing.T) {
	root := newRoot(t)
	newBridge(t.Context(), root).check(t)
	pid := guardPID(t, root)
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	if code, out, err := shipperHost(nil, "status", "--root", root); code != 0 || out != "no services here\n" {
		t.Errorf("status: %d, %q, %q", code, out, err)
	}
	if now := guardPID(t, root); now == pid {
		t.Errorf("it is the same process %d", now)
	}
}

func guardPID(t *testing.T, root string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(host.DefaultLayout(root).Guard(), "control.json"))
	var c struct{ PID int }
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c.PID
}

func TestStableCopy(t *testing.T) {
	dir := t.TempDir()
	exe := filepath.Join(dir, "shipper-host.exe")
	bin := filepath.Join(dir, "bin")
	for _, content := range []string{"one", "another"} {
		if err := os.WriteFile(exe, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := stableCopy(exe, bin); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(bin, "shipper-host.exe")); err != nil || string(b) != content {
			t.Errorf("copy %q, %v", b, err)
		}
	}
	if entries, err := os.ReadDir(bin); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
