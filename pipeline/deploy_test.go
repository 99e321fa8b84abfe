package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/lab/ports"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/transport"
)

func TestDeployThenRollBack(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	res, err := b.pipeline().Rollback(ctx, RollbackRequest{})
	b.want(res, err, rollout.Failed, problem.Failed)

	res, err = b.deploy(ctx, "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.stable("1.0.0")
	first := b.machines["web1"].router(t)
	res, err = b.pipeline().Rollback(ctx, RollbackRequest{})
	b.want(res, err, rollout.Failed, problem.Failed)
	if err == nil || !strings.Contains(err.Error(), "no committed revision before") {
		t.Errorf("rollback of the first deploy: %v", err)
	}

	b.load()
	res, err = b.deploy(ctx, "1.1.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.stable("1.1.0")
	res, err = b.deploy(ctx, "1.1.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	if !strings.Contains(b.story(), "already running") {
		t.Errorf("the same revision again should say so\n%s", b.story())
	}

	res, err = b.pipeline().Rollback(ctx, RollbackRequest{})
	b.want(res, err, rollout.RolledBack, 0)
	b.stable("1.0.0")
	if now := b.machines["web1"].router(t); now != first {
		t.Errorf("the router was restarted: %+v, before %+v", now, first)
	}
	runs, err := b.pipeline().History(ctx)
	if err != nil || len(runs) != 3 {
		t.Errorf("%d runs in history, want 3: %v", len(runs), err)
	}
	for _, r := range runs {
		if r.Result.Type != journal.TypeResult {
			t.Errorf("run %s has no result", r.Started.Run)
		}
	}
}

// router is the one process that serves on the host.
func (m *machine) router(t *testing.T) scm.Status {
	t.Helper()
	var running []scm.Status
	for _, name := range []string{"shipper-router-a", "shipper-router-b"} {
		if st, err := m.scm.Status(t.Context(), name); err == nil && st.State == scm.Running {
			running = append(running, st)
		}
	}
	if len(running) != 1 {
		t.Fatalf("%d routers run, want one", len(running))
	}
	return running[0]
}

func TestBadReleaseGoesBack(t *testing.T) {
	b := newBed(t)
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.load()
	res, err = b.deploy(t.Context(), "1.1.0", map[string]string{"ORDERS_FAIL_RATIO": "0.5"})
	b.want(res, err, rollout.RolledBack, problem.RolledBack)
	if err == nil || !strings.Contains(err.Error(), "canary") {
		t.Errorf("the verdict does not explain itself: %v", err)
	}
	b.stable("1.0.0")
	res, err = b.deploy(t.Context(), "1.2.0", map[string]string{"ORDERS_UNHEALTHY": "true"})
	b.want(res, err, rollout.RolledBack, problem.RolledBack)
	b.stable("1.0.0")
	res, err = b.deploy(t.Context(), "1.3.0", map[string]string{"ORDERS_FAIL_START": "true"})
	b.want(res, err, rollout.RolledBack, problem.RolledBack)
	b.stable("1.0.0")
}

// The result says where to look, and there is something to look at.
func TestLogsOfAFailedRun(t *testing.T) {
	b := newBed(t)
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	res, err = b.deploy(t.Context(), "1.1.0", map[string]string{"ORDERS_UNHEALTHY": "true"})
	b.want(res, err, rollout.RolledBack, problem.RolledBack)
	for _, run := range []string{"", res.Run} {
		var text strings.Builder
		err = b.pipeline().Logs(t.Context(), &text, LogsRequest{Failed: true, Run: run, Lines: 20})
		if err != nil || !strings.Contains(text.String(), "1.1.0") || !strings.Contains(text.String(), "smoke check") {
			t.Errorf("logs of run %q: %v\n%s", run, err, text.String())
		}
	}
	if !strings.Contains(b.story(), "autopsy") {
		t.Errorf("the journal does not say where\n%s", b.story())
	}
}

func TestFirstDeployThatFails(t *testing.T) {
	b := newBed(t)
	res, err := b.deploy(t.Context(), "1.0.0", map[string]string{"ORDERS_UNHEALTHY": "true"})
	b.want(res, err, rollout.Failed, problem.Failed)
	b.stable("")
	res, err = b.deploy(t.Context(), "1.0.1", nil)
	b.want(res, err, rollout.Promoted, 0)
}

func TestAbortAndLock(t *testing.T) {
	b := newBed(t)
	b.steps(config.Step{SetWeight: weight(5)}, config.Step{Pause: forever()})
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.forget()
	run := b.begin(func() (Result, error) { return b.deploy(t.Context(), "1.1.0", nil) })
	run.until(journal.TypePaused)

	other := b.pipeline()
	other.Owner, other.Emit = "somebody@else", nil
	res, err = other.Deploy(t.Context(), DeployRequest{Bundle: b.bundle("1.2.0")})
	b.want(res, err, rollout.Failed, problem.Locked)
	if problem.HintOf(err) == "" {
		t.Error("no hint about the lock")
	}
	res, err = other.Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.Failed, problem.Locked)

	if _, err = other.Ask(t.Context(), "abort"); err != nil {
		t.Fatal(err)
	}
	e := run.end()
	b.want(e.res, e.err, rollout.Aborted, problem.Aborted)
	b.stable("1.0.0")
	for _, kind := range []string{"abort", "promote"} {
		res, err := other.Ask(t.Context(), kind)
		b.want(res, err, rollout.Failed, problem.Failed)
	}
}

// parked is a bed with 1.0.0, and a run of 1.1.0 that was left while it paused.
func parked(t *testing.T) *bed {
	t.Helper()
	b := newBed(t)
	b.steps(config.Step{SetWeight: weight(20)}, config.Step{Pause: forever()})
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.forget()
	ctx, interrupt := context.WithCancelCause(t.Context())
	run := b.begin(func() (Result, error) { return b.deploy(ctx, "1.1.0", nil) })
	run.until(journal.TypePaused)
	interrupt(errors.New("interrupted"))
	e := run.end()
	b.want(e.res, e.err, rollout.Paused, problem.Paused)
	return b
}

func TestParkedRunGoesOn(t *testing.T) {
	b := parked(t)
	if st := b.stable("1.0.0"); st.State != rollout.Paused {
		t.Errorf("status after parking: %s", st.State)
	}
	res, err := b.pipeline().Resume(t.Context(), "promote")
	b.want(res, err, rollout.Promoted, 0)
	b.stable("1.1.0")
}

func TestParkedRunIsRolledBack(t *testing.T) {
	b := parked(t)
	res, err := b.pipeline().Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.RolledBack, 0)
	if st := b.stable("1.0.0"); st.State == rollout.Paused {
		t.Error("the parked run is still there")
	}
}

func TestOneHostOutOfReach(t *testing.T) {
	b := newBed(t)
	b.machines["web2"] = newMachine(t, "web2")
	b.machines["web2"].cut()
	b.target.Hosts = append(b.target.Hosts, config.Host{Name: "web2", Address: "web2"})
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Failed, problem.Unreachable)
	b.target.Hosts = b.target.Hosts[:1]
	if st := b.stable(""); st.Run != "" {
		t.Errorf("web1 was touched: run %s", st.Run)
	}
}

func TestFreezeLocksOut(t *testing.T) {
	b := newBed(t)
	if err := b.pipeline().LockAcquire(t.Context(), "closing the books"); err != nil {
		t.Fatal(err)
	}
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Failed, problem.Locked)
	if err := b.pipeline().LockRelease(t.Context()); err != nil {
		t.Fatal(err)
	}
	res, err = b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
}

func TestRemoveAndPrune(t *testing.T) {
	b := newBed(t)
	for _, v := range []string{"1.0.0", "1.1.0"} {
		b.steps()
		b.target.Rollout.Strategy = "blue-green"
		b.target.Analysis.Signals = nil
		res, err := b.deploy(t.Context(), v, nil)
		b.want(res, err, rollout.Promoted, 0)
	}
	if _, err := b.pipeline().Prune(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := b.pipeline().Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := b.stable(""); st.Hosts[0].Status.Known {
		t.Errorf("the host still knows the service: %+v", st.Hosts[0].Status)
	}
}

// Another environment's service is not ours, even if it runs the same.
func TestAnotherEnvironmentIsRefused(t *testing.T) {
	b := newBed(t)
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.target.Environment = "other"
	res, err = b.deploy(t.Context(), "1.0.0", nil)
	if err == nil || res.State != rollout.Failed || !strings.Contains(err.Error(), `belongs to environment "test"`) {
		t.Errorf("state %s, %v", res.State, err)
	}
	b.target.Environment = "test"
	if err := b.pipeline().LockAcquire(t.Context(), "closing the books"); err != nil {
		t.Fatal(err)
	}
	b.target.Environment = "other"
	_, asked := b.pipeline().Ask(t.Context(), "abort")
	_, looked := b.pipeline().Status(t.Context())
	for verb, err := range map[string]error{"abort": asked, "status": looked, "lock release": b.pipeline().LockRelease(t.Context()), "remove": b.pipeline().Remove(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), `belongs to environment "test"`) || problem.KindOf(err) != problem.Failed {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

// A controller that is refused after its commit has still committed.
func TestRefusedAfterTheCommit(t *testing.T) {
	p := &Pipeline{}
	refused := &rpc.Error{Code: rpc.CodeFenced, Message: "the lease ran out"}
	for _, tt := range []struct {
		committed bool
		end       rollout.State
		want      rollout.State
	}{{true, rollout.Promoted, rollout.Promoted}, {true, rollout.Split, rollout.Split}, {false, rollout.Split, rollout.Lost}, {false, rollout.RolledBack, rollout.Lost}} {
		d := &driver{p: p, f: fleet{newHost(p, config.Host{Name: "web1"})}, fault: map[string]error{"web1": refused}, committed: tt.committed}
		res, err := d.result(rollout.Command{Verb: rollout.Finish, State: tt.end}, Result{})
		if res.State != tt.want || (err == nil) != (tt.want == rollout.Promoted) {
			t.Errorf("%+v: %s, %v", tt, res.State, err)
		}
	}
}

// The same release on another public address is something to do.
func TestOnlyTheAddressChanges(t *testing.T) {
	b := newBed(t)
	b.steps()
	b.target.Analysis.Signals = nil
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	old := b.target.Traffic.Listen
	b.target.Traffic.Listen = fmt.Sprintf("127.0.0.1:%d", ports.Free(t))
	res, err = b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	for listen, want := range map[string]bool{old: false, b.target.Traffic.Listen: true} {
		res, err := http.Get("http://" + listen + "/healthz")
		if err == nil {
			res.Body.Close()
		}
		if served := err == nil && res.StatusCode == http.StatusOK; served != want {
			t.Errorf("%s is served: %v, want %v: %v", listen, served, want, err)
		}
	}
}

// A connection that is still there when shipper leaves a host would keep its
// program in use, and the next renewal install it again.
func TestRemoveLeavesNoConnectionBehind(t *testing.T) {
	b := newBed(t)
	b.steps()
	b.target.Analysis.Signals = nil
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.target.Rollback.Lease = 10 * time.Minute // no renewal ends the connection
	p := b.pipeline()
	left := 0
	p.Leave = func(_ context.Context, _ transport.Conn, h config.Host) error {
		left++
		for end := time.Now().Add(time.Minute); b.machines[h.Name].open() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				return errors.New("a connection is open")
			}
		}
		return nil
	}
	if err := p.Remove(t.Context()); err != nil || left != 1 {
		t.Errorf("left %d hosts, %v", left, err)
	}
}
