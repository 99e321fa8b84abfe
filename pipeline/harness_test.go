package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/examples/load"
	guard "github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/host/wrapper"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/lab/ports"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/transport"
)

// The hosts of these tests are real guards, routers and instances as plain
// processes of this machine; only the wire is left out.

// orders is the example service, built once for this machine.
var orders = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "shipper-pipeline-")
	if err != nil {
		return "", err
	}
	exe := filepath.Join(dir, "orders")
	out, err := exec.Command("go", "build", "-o", exe, "../examples/orders").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build orders: %w: %s", err, out)
	}
	return exe, nil
})

// TestMain lets the test binary stand in for the router's program.
func TestMain(m *testing.M) {
	if len(os.Args) > 4 && os.Args[1] == "router" { // NAME --root ROOT
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		if err := router.New(router.Options{Name: os.Args[2], Dir: guard.DefaultLayout(os.Args[4]).Router()}).Run(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 3 && os.Args[1] == "wrap" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		c, err := wrapper.Load(os.Args[3])
		if err != nil {
			os.Exit(1)
		}
		code, _ := wrapper.Run(ctx, c, func() {})
		os.Exit(int(code))
	}
	if len(os.Args) > 3 && os.Args[1] == "hook" {
		os.Exit(hookProgram(os.Args[2], os.Args[3]))
	}
	if len(os.Args) > 1 && os.Args[1] == "idle" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		<-ctx.Done()
		return
	}
	code := m.Run()
	if exe, err := orders(); err == nil {
		os.RemoveAll(filepath.Dir(exe))
	}
	os.Exit(code)
}

// machine is one host.
type machine struct {
	name   string
	root   string
	layout guard.Layout
	scm    *scm.Processes

	mu    sync.Mutex
	down  bool
	pipes []pipe
	ready rpc.Readiness
	clock clock
}

// clock is the host's; a guard that is asked for something looks at it anew.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) At(t time.Time) <-chan time.Time { return time.After(t.Sub(c.Now())) }

func newMachine(t *testing.T, name string) *machine {
	return newMachineWith(t, name, func(m scm.Manager) scm.Manager { return m })
}

// newIdleMachine is a host whose instances only seem to listen: two hosts of a
// fleet have the same ports, and here both are this machine.
func newIdleMachine(t *testing.T, name string) *machine {
	return newMachineWith(t, name, func(m scm.Manager) scm.Manager { return idle{m, &sync.Map{}} })
}

type idle struct {
	scm.Manager
	asked *sync.Map // specs by name
}

func (m idle) Spec(ctx context.Context, name string) (scm.Spec, error) {
	if s, ok := m.asked.Load(name); ok {
		return s.(scm.Spec), nil
	}
	return m.Manager.Spec(ctx, name)
}

func (m idle) Ensure(ctx context.Context, s scm.Spec) error {
	self, err := os.Executable()
	m.asked.Store(s.Name, s)
	s.Executable, s.Args = self, []string{"idle"}
	return errors.Join(err, m.Manager.Ensure(ctx, s))
}

func (m idle) Owns(ctx context.Context, name string, _ int) (bool, error) {
	st, err := m.Status(ctx, name)
	return st.State == scm.Running, err
}

func newMachineWith(t *testing.T, name string, manager func(scm.Manager) scm.Manager) *machine {
	t.Helper()
	m := &machine{name: name, root: t.TempDir()}
	m.layout = guard.DefaultLayout(m.root)
	var err error
	if m.scm, err = scm.NewProcesses(scm.ProcessOptions{}); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	g, err := guard.NewGuard(guard.Options{
		Layout: m.layout, SCM: manager(m.scm), Router: router.NewClient(m.layout.Router()),
		Executable: self, Args: []string{"--root", m.root}, Version: "test", Ready: m.readiness,
		Clock: &m.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, m.scm.Close()); err != nil {
			t.Errorf("guard of %s: %v", name, err)
		}
	})
	return m
}

// readiness is what the host says about itself.
func (m *machine) readiness() rpc.Readiness {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ready
}

// waits makes the host one that speaks against a change.
func (m *machine) waits(r rpc.Readiness) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ready = r
}

// Run is not needed: the guard is there already.
func (m *machine) Run(context.Context, string, io.Reader) (transport.Result, error) {
	return transport.Result{}, errors.New("not needed")
}

func (m *machine) Close() error { return nil }

// pipe is a connection to the guard without a wire in between.
type pipe struct{ net.Conn }

func (pipe) MaxWrite() int { return 380_000 }

func (m *machine) Pipe(ctx context.Context, _ string) (transport.Pipe, error) {
	for {
		m.mu.Lock()
		down := m.down
		m.mu.Unlock()
		if down {
			return nil, &transport.Error{Kind: transport.Unreachable, Host: m.name, Phase: "dial", Err: errors.New("it is down")}
		}
		conn, err := guard.DialGuard(ctx, m.layout)
		if err == nil {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.pipes = append(m.pipes, pipe{conn})
			return pipe{conn}, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
	}
}

// cut takes the host off the network.
func (m *machine) cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = true
	m.breakPipes()
}

// blink breaks the connections that there are.
func (m *machine) blink() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.breakPipes()
}

func (m *machine) breakPipes() {
	for _, p := range m.pipes {
		p.Close()
	}
	m.pipes = nil
}

// open counts the connections that there are.
func (m *machine) open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, p := range m.pipes {
		if p.SetDeadline(time.Time{}) == nil {
			n++
		}
	}
	return n
}

// mend ends a cut.
func (m *machine) mend() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = false
}

// bed is a host and what is to be shipped to it.
type bed struct {
	t        *testing.T
	machines map[string]*machine
	target   config.Target

	mu      sync.Mutex
	records []journal.Record
	seen    *sync.Cond
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, machines: map[string]*machine{}}
	b.seen = sync.NewCond(&b.mu)
	b.target = config.Target{
		Path: "shipper.yaml", Environment: "test",
		Service:   config.Service{Name: "orders", Mode: "native", StopTimeout: 20 * time.Second, StartTimeout: 2 * time.Minute},
		Checks:    []config.Check{{HTTP: "/healthz", Interval: 10 * time.Millisecond, Timeout: 10 * time.Second, Successes: 2, Deadline: 2 * time.Minute}},
		Transport: config.Transport{Type: "local"},
		Rollout:   config.Rollout{Strategy: "canary", KeepWarm: 10 * time.Minute, ParkFor: time.Hour, ProgressDeadline: 10 * time.Minute},
		Rollback:  config.Rollback{Auto: true, Scope: "fleet", Lease: 20 * time.Second},
		Retention: config.Retention{Releases: 5},
		Analysis: config.Analysis{MinRequests: 20, MaxWait: 2 * time.Minute, OnInsufficientData: "fail", Signals: []config.Signal{
			{Name: "errors", Errors: &config.ErrorLimit{Max: 0.02, Above: 0.01}, Interval: 100 * time.Millisecond, MinRequests: 20},
		}},
	}
	b.machines["web1"] = newMachine(t, "web1")
	b.target.Hosts = []config.Host{{Name: "web1", Address: "web1"}}
	b.target.Traffic = config.Traffic{Router: "embedded", Listen: fmt.Sprintf("127.0.0.1:%d", ports.Free(t)), DrainTimeout: 2 * time.Second, Boot: "refuse"}
	b.target.Service.Ports = config.Ports{Blue: ports.Free(t), Green: ports.Free(t)}
	b.steps(config.Step{SetWeight: weight(50)}, config.Step{Analysis: true})
	return b
}

func weight(percent int) *release.Weight {
	w := release.Weight(percent * 100)
	return &w
}

func (b *bed) steps(steps ...config.Step) { b.target.Rollout.Steps = steps }

// pipeline is a controller of its own.
func (b *bed) pipeline() *Pipeline {
	return &Pipeline{
		Target: b.target, Owner: "tester@here", Version: "test", Now: time.Now, Emit: b.emit,
		Grace: time.Minute, // a busy machine takes its time to park
		Dial:  func(_ context.Context, h config.Host) (transport.Conn, error) { return b.machines[h.Name], nil },
		Bridge: func(context.Context, transport.Conn, config.Host, bool) (string, error) {
			return "serve", nil
		},
		Leave: func(context.Context, transport.Conn, config.Host) error { return nil },
	}
}

func (b *bed) emit(r journal.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = append(b.records, r)
	b.seen.Broadcast()
}

// until waits until a record of the type was told.
func (b *bed) until(kind string) { b.untilCount(kind, 1) }

// patience is how long a record is waited for: a run that ended without it
// shall be told, and not keep everything.
const patience = 2 * time.Minute

func (b *bed) untilCount(kind string, n int) {
	b.t.Helper()
	late := false
	defer time.AfterFunc(patience, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		late = true
		b.seen.Broadcast()
	}).Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		count := 0
		for _, r := range b.records {
			if r.Type == kind {
				count++
			}
		}
		if count >= n {
			return
		}
		if late {
			b.t.Fatalf("no %q within %s, only:\n%s", kind, patience, b.lines())
		}
		b.seen.Wait()
	}
}

func (b *bed) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = nil
}

// bundle packs the example for this machine under a version.
func (b *bed) bundle(version string) string {
	b.t.Helper()
	exe, err := orders()
	if err != nil {
		b.t.Fatal(err)
	}
	body := []byte("#!/bin/sh\n[ \"$1\" = migrate ] && exit $2\nexec '" + exe + "' \"$@\"\n") // small, so that pushes cost nothing
	if runtime.GOOS == "windows" {
		if body, err = os.ReadFile(exe); err != nil {
			b.t.Fatal(err)
		}
	}
	path := filepath.Join(b.t.TempDir(), version+".zip")
	f, err := os.Create(path)
	if err != nil {
		b.t.Fatal(err)
	}
	m := packaging.Manifest{
		Protocol: packaging.Protocol, Name: "orders", Version: version, Builder: "prebuilt", Time: time.Unix(1, 0).UTC(),
		Targets: []packaging.TargetManifest{{GOOS: runtime.GOOS, GOARCH: runtime.GOARCH, Executable: "orders", Files: []release.File{
			{Path: "orders", Size: int64(len(body)), SHA256: release.Of(body)},
			{Path: "version.txt", Size: int64(len(version)), SHA256: release.Of([]byte(version))},
		}}},
	}
	_, err = packaging.WriteBundle(f, m, func(_ packaging.TargetManifest, f release.File) (io.ReadCloser, error) {
		if f.Path == "orders" {
			return io.NopCloser(bytes.NewReader(body)), nil
		}
		return io.NopCloser(strings.NewReader(version)), nil
	})
	if err := errors.Join(err, f.Close()); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// deploy deploys a version whose instances misbehave as env says.
func (b *bed) deploy(ctx context.Context, version string, env map[string]string) (Result, error) {
	b.t.Helper()
	p := b.pipeline()
	p.Target.Service.Env = env
	if env["ORDERS_UNHEALTHY"] != "" { // what is never well need not be given long
		p.Target.Checks = slices.Clone(p.Target.Checks)
		p.Target.Checks[0].Deadline = 2 * time.Second
	}
	return p.Deploy(ctx, DeployRequest{Bundle: b.bundle(version)})
}

// want fails the test unless a verb ended in state, with an error of kind if
// that is one.
func (b *bed) want(res Result, err error, state rollout.State, kind problem.Kind) {
	b.t.Helper()
	if res.State != state || (err != nil && problem.KindOf(err) != kind) {
		b.t.Fatalf("state %s, error %v; want %s, kind %d\n%s", res.State, err, state, kind, b.story())
	}
}

func (b *bed) story() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines()
}

// lines are the records; the caller has the lock.
func (b *bed) lines() string {
	var s strings.Builder
	for _, r := range b.records {
		fmt.Fprintf(&s, "%s %s %s %s\n", r.Time.Format("05.000"), r.Type, r.Host, r.Data)
	}
	return s.String()
}

// stable asks the host which version it runs, as another process would.
func (b *bed) stable(version string) FleetStatus {
	b.t.Helper()
	st, err := b.pipeline().Status(b.t.Context())
	if err != nil || st.Stable.Version != version {
		b.t.Fatalf("status: stable %s, %v; want %s", st.Stable, err, version)
	}
	return st
}

// load sends requests until the test ends.
func (b *bed) load() {
	ctx, stop := context.WithCancel(context.Background())
	g := load.Start(ctx, load.Options{URLs: []string{"http://" + b.target.Traffic.Listen + "/orders"}, Rate: 300})
	b.t.Cleanup(func() { stop(); g.Wait() })
}

func forever() *time.Duration {
	var d time.Duration
	return &d
}
