//go:build !windows

package host

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/host/wrapper"
	"github.com/go-shipper/shipper/lab/ports"
	"github.com/go-shipper/shipper/release"
)

// TestMain lets this program be what the guard starts: router, wrapper and
// the instance of a service.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	var body scm.Body
	switch os.Args[1] {
	case "router":
		body = func(ctx context.Context, ready func()) error {
			ready()
			return router.New(router.Options{Name: os.Args[2], Dir: os.Args[3]}).Run(ctx)
		}
	case "wrap":
		body = func(ctx context.Context, ready func()) error {
			c, err := wrapper.Load(os.Args[3])
			if err != nil {
				return err
			}
			code, err := wrapper.Run(ctx, c, ready)
			if err != nil {
				return &scm.ExitError{Code: code, Err: err}
			}
			return nil
		}
	case "instance":
		body = instanceMain
	default:
		os.Exit(m.Run())
	}
	err := scm.RunService(os.Args[1], body)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(int(scm.ExitCode(err)))
}

func instanceMain(ctx context.Context, ready func()) error {
	if os.Getenv("BROKEN") != "" {
		return fmt.Errorf("cannot work like this, secret is %d bytes", len(os.Getenv("TOKEN")))
	}
	l, err := net.Listen("tcp", os.Getenv("SHIPPER_LISTEN"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		role, _ := os.ReadFile(os.Getenv("SHIPPER_ROLE_FILE"))
		config, _ := os.ReadFile(filepath.Join(os.Getenv("SHIPPER_CONFIG_DIR"), "app.conf"))
		fmt.Fprintf(w, "%s %s %s %s", os.Getenv("SHIPPER_VERSION"), role, os.Getenv("TOKEN"), config)
	})}
	ready()
	fmt.Println("serving", l.Addr())
	context.AfterFunc(ctx, func() { server.Shutdown(context.Background()) })
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// real is a machine with processes, a router and time as they are.
type real struct {
	*machine
	port    int
	ports   rpc.Ports
	own     string
	manager *scm.Processes
}

func newReal(t *testing.T) *real {
	t.Helper()
	dir := t.TempDir()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	manager, err := scm.NewProcesses(scm.ProcessOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	layout := DefaultLayout(filepath.Join(dir, "root"))
	g, err := NewGuard(Options{
		Layout: layout, SCM: manager, Router: router.NewClient(layout.Router()), Executable: own,
		Args: []string{layout.Router()}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		manager.Close()
	})
	m := &machine{t: t, layout: layout, guard: g, lease: 10 * time.Minute} // nobody renews it, however slow the machine
	m.c = m.dial()
	return &real{machine: m, port: ports.Free(t), ports: rpc.Ports{Blue: ports.Free(t), Green: ports.Free(t)}, own: own, manager: manager}
}

func (m *real) params(r *run, version string, env map[string]string) rpc.Start {
	vars := map[string]string{"TESTBIN": m.own}
	for k, v := range env {
		vars[k] = v
	}
	return rpc.Start{
		Fenced: r.f, Ports: m.ports, Timeout: 2 * time.Minute, Secrets: map[string]string{"TOKEN": "s3cret"},
		Traffic: rpc.TrafficConfig{Router: "embedded", Listen: fmt.Sprintf("127.0.0.1:%d", m.port), DrainTimeout: 2 * time.Second, Boot: "hold"},
		Revision: release.Revision{
			Service: app, Release: m.install(r, version), Mode: "console", Executable: "orders.exe", Env: vars,
			Files:        []release.RenderedFile{{To: "app.conf", Data: []byte("slot={{.Slot}}")}},
			Fingerprints: map[string]string{"TOKEN": "f00d"},
		},
	}
}

// install pushes a release that is a script: it becomes this program.
func (m *real) install(r *run, version string) release.Release {
	m.t.Helper()
	b := []byte("#!/bin/sh\n# " + version + "\nexec \"$TESTBIN\" instance\n")
	files := []release.File{{Path: "orders.exe", Size: int64(len(b)), SHA256: release.Of(b)}}
	rel := release.Release{Version: version, Digest: release.ContentDigest(files)}
	p := rpc.Put{Service: app, Run: r.f.Run, Fence: r.f.Fence, Digest: files[0].SHA256, Size: int64(len(b)), Encoded: int64(len(b))}
	if _, err := m.c.Put(context.Background(), p, &slowReader{b: b}); err != nil {
		m.t.Fatal(err)
	}
	if err := m.c.Install(context.Background(), rpc.Install{Fenced: r.f, Release: rel, Files: files}); err != nil {
		m.t.Fatal(err)
	}
	return rel
}

// slowReader gives one byte at a time.
type slowReader struct{ b []byte }

func (r *slowReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	p[0], r.b = r.b[0], r.b[1:]
	return 1, nil
}

func (m *real) get() (string, error) {
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", m.port))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		return string(b), fmt.Errorf("status %d", res.StatusCode)
	}
	return string(b), err
}

func (m *real) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// begin starts a version and checks it.
func (m *real) begin(id, version string) *run {
	m.t.Helper()
	ctx := context.Background()
	r := m.acquire(id, "deploy")
	_, err := m.c.Start(ctx, m.params(r, version, nil))
	m.must(err)
	check, err := m.c.Check(ctx, rpc.Check{Fenced: r.f, HTTP: "/healthz", Successes: 2, Interval: 10 * time.Millisecond, Timeout: 30 * time.Second, Deadline: 2 * time.Minute})
	m.must(err)
	if !check.OK {
		m.t.Fatalf("check: %+v", check)
	}
	return r
}

func (m *real) finish(r *run) {
	m.t.Helper()
	m.must(m.c.Prepare(context.Background(), r.f))
	r.commit(0)
	r.release(runPromoted)
}

// load asks without a pause until stop is called, which tells how often.
func (m *real) load() (stop func() int) {
	done, ended := make(chan struct{}), make(chan int)
	go func() {
		for served := 0; ; served++ {
			select {
			case <-done:
				ended <- served
				return
			default:
			}
			if got, err := m.get(); err != nil {
				m.t.Errorf("lost a request: %q, %v", got, err)
			}
		}
	}()
	stop = sync.OnceValue(func() int {
		close(done)
		return <-ended
	})
	m.t.Cleanup(func() { stop() })
	return stop
}

func TestRealProcessesAndRouterLoseNoRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	m := newReal(t)
	ctx := context.Background()
	r := m.begin("r1", "1.0.0")
	if _, err := m.get(); err == nil {
		t.Error("the public address answers before the first commit")
	}
	m.finish(r)
	if got, err := m.get(); err != nil || got != "1.0.0 stable s3cret slot=blue" {
		t.Fatalf("%q, %v", got, err)
	}

	stop := m.load()
	r = m.begin("r2", "1.1.0")
	for _, w := range []release.Weight{500, 5000, release.Full} {
		r.weight(w)
		counters, err := m.c.Counters(ctx, rpc.ServiceRef{Service: app})
		m.must(err)
		if counters.Live[release.Green].PID == 0 || counters.Epoch == "" {
			t.Errorf("counters: %+v", counters)
		}
	}
	m.finish(r)
	r = m.begin("r3", "1.2.0")
	r.weight(5000)
	_, err := m.c.Undo(ctx, rpc.Undo{Fenced: r.f, State: runRolledBack, Why: "test"})
	m.must(err)
	r.release(runRolledBack)
	_, err = m.c.Rollback(ctx, rpc.Rollback{Service: app, By: "ann"})
	m.must(err)
	m.settled()
	t.Logf("%d requests", stop())
	if got, err := m.get(); err != nil || got != "1.0.0 stable s3cret slot=green" && got != "1.0.0 stable s3cret slot=blue" {
		t.Errorf("after the rollback: %q, %v", got, err)
	}
}

func TestRealProcessThatFails(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	m := newReal(t)
	ctx := context.Background()
	m.finish(m.begin("r1", "1.0.0"))
	logs, err := m.c.Logs(ctx, rpc.Logs{Service: app, Lines: 5})
	if err != nil || logs.Text == "" {
		t.Errorf("logs: %+v, %v", logs, err)
	}
	r := m.acquire("r2", "deploy")
	_, err = m.c.Start(ctx, m.params(r, "1.1.0", map[string]string{"BROKEN": "1"}))
	m.code(err, rpc.CodeUnhealthy)
	if !strings.Contains(err.Error(), "cannot work like this") {
		t.Errorf("the reason is not told: %v", err)
	}
	r.release(runFailed)
	r = m.acquire("x", "remove")
	m.must(m.c.Remove(ctx, rpc.Remove{Fenced: r.f}))
	if names, err := m.manager.List(ctx, ""); err != nil || len(names) != 0 {
		t.Errorf("services remain: %v, %v", names, err)
	}
}
