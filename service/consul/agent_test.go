package consul

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-shipper/shipper/service"
)

// agent is a real one; `make test-integration` builds it.
type agent struct {
	t     *testing.T
	ports [4]int // http, server, serf and grpc
	cmd   *exec.Cmd
}

func startAgent(t *testing.T) *agent {
	t.Helper()
	if os.Getenv("SHIPPER_INTEGRATION") == "" {
		t.Skip("needs a Consul agent: make test-integration builds one and runs this")
	}
	a := &agent{t: t}
	for i := range a.ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		a.ports[i] = l.Addr().(*net.TCPAddr).Port
		defer l.Close()
	}
	return a
}

func (a *agent) url() string { return fmt.Sprintf("http://127.0.0.1:%d", a.ports[0]) }

// run starts it; a development agent remembers nothing of the one before.
func (a *agent) run() {
	a.t.Helper()
	exe, err := exec.LookPath("consul")
	if err != nil {
		a.t.Fatal("there is no consul in PATH: run make test-integration")
	}
	config := fmt.Sprintf(`ports { http = %d, server = %d, serf_lan = %d, serf_wan = -1, dns = -1, grpc = %d }`,
		a.ports[0], a.ports[1], a.ports[2], a.ports[3])
	a.cmd = exec.CommandContext(a.t.Context(), exe, "agent", "-dev", "-bind", "127.0.0.1", "-hcl", config, "-hcl", "disable_update_check = true")
	if err := a.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(a.kill)
	a.await("a leader", func() bool {
		var leader string
		return a.get("/v1/status/leader", &leader) == nil && leader != ""
	})
}

func (a *agent) kill() {
	a.cmd.Process.Kill()
	a.cmd.Wait()
}

func (a *agent) get(path string, into any) error {
	resp, err := http.Get(a.url() + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

func (a *agent) await(what string, reached func() bool) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); !reached(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			a.t.Fatalf("no %s within a minute", what)
		}
	}
}

// entry is a service as clients of Consul find it.
type entry struct {
	Service struct {
		ID, Address string
		Port        int
		Tags        []string
		Meta        map[string]string
	}
	Checks []struct{ CheckID, Status, Output string }
}

// find gives the one instance, and the status of its own check.
func (a *agent) find(name string) (entry, string) {
	var all []entry
	if a.get("/v1/health/service/"+name, &all) != nil || len(all) != 1 {
		return entry{}, ""
	}
	for _, c := range all[0].Checks {
		if c.CheckID == "service:"+all[0].Service.ID {
			return all[0], c.Status
		}
	}
	return all[0], ""
}

func (a *agent) awaitStatus(status string) {
	a.t.Helper()
	a.await(status+" service", func() bool { _, got := a.find("orders"); return got == status })
}

// A real agent hears of a service through its whole life, and through one of
// its own restarts.
func TestWithARealAgent(t *testing.T) {
	a := startAgent(t)
	a.run()
	role := filepath.Join(t.TempDir(), "role")
	setRole(t, role, service.Canary)
	var sick atomic.Bool
	var s *service.Service
	ready := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- service.Run(t.Context(), service.Func(func(ctx context.Context) error {
			s = service.From(ctx)
			s.Ready()
			close(ready)
			<-ctx.Done()
			return nil
		}), service.WithName("orders"), service.WithVersion("1.2.3"), service.WithMode(service.Daemon),
			service.WithLogger(slog.New(slog.NewTextHandler(t.Output(), nil))), service.WithRoleFile(role),
			service.WithChecks(service.Check{Name: "db", Every: 50 * time.Millisecond, Action: service.Degrade, Probe: func(context.Context) error {
				if sick.Load() {
					return io.ErrUnexpectedEOF
				}
				return nil
			}}),
			service.WithPart(New(Options{Agent: a.url(), Endpoint: "127.0.0.9:8080", Tags: []string{"api"}, TTL: 3 * time.Second})))
	}()
	<-ready
	a.awaitStatus("passing")
	e, _ := a.find("orders")
	if e.Service.ID != "orders" || e.Service.Address != "127.0.0.9" || e.Service.Port != 8080 || len(e.Service.Tags) != 1 ||
		e.Service.Meta["version"] != "1.2.3" || e.Service.Meta["role"] != "canary" {
		t.Errorf("%+v", e)
	}
	setRole(t, role, service.Stable)
	a.await("new role", func() bool { e, _ := a.find("orders"); return e.Service.Meta["role"] == "stable" })
	sick.Store(true)
	a.awaitStatus("warning")
	sick.Store(false)
	a.awaitStatus("passing")
	if err := s.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.awaitStatus("critical") // by the next beat
	if err := s.Continue(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.awaitStatus("passing")

	a.kill()
	a.run()
	a.awaitStatus("passing")

	s.Stop(nil)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	var all []entry
	if err := a.get("/v1/health/service/orders", &all); err != nil || len(all) != 0 {
		t.Errorf("after the stop: %+v, %v", all, err)
	}
}

// Without a heartbeat the agent itself finds the service critical: what a
// crash looks like.
func TestTTLOfARealAgent(t *testing.T) {
	a := startAgent(t)
	a.run()
	p := New(Options{Agent: a.url(), TTL: time.Second})
	done := make(chan error, 1)
	go func() {
		done <- service.Run(t.Context(), service.Func(func(ctx context.Context) error {
			p.s = service.From(ctx)
			p.s.Ready()
			var err error
			if p.o, err = p.o.withDefaults(p.s); err != nil {
				return err
			}
			p.tell(ctx, "none yet") // once, and never again
			return nil
		}), service.WithName("orders"), service.WithMode(service.Daemon), service.WithLogger(slog.New(slog.DiscardHandler)))
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	a.awaitStatus("critical")
}

func setRole(t *testing.T, path string, r service.Role) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(r), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
