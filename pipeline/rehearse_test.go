package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// TestCheckRollback proves the way back without going it.
func TestCheckRollback(t *testing.T) {
	b := newBed(t)
	b.steps()
	ctx := t.Context()
	res, err := b.deploy(ctx, "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	if _, _, err := b.pipeline().CheckRollback(ctx); problem.KindOf(err) != problem.Failed || !strings.Contains(err.Error(), "no committed revision before") {
		t.Errorf("nothing to go back to: %v", err)
	}
	res, err = b.deploy(ctx, "1.1.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	last := b.stable("1.1.0").Run

	_, ways, err := b.pipeline().CheckRollback(ctx)
	way := ways["web1"]
	if err != nil || way.Move != "flip" || way.WarmSeconds < 1 || !way.Intact || !way.Started || len(way.Checks) != 1 || !way.Checks[0].OK {
		t.Errorf("warm: %+v, %v", way, err)
	}
	b.stops("1.0.0")
	if _, ways, err = b.pipeline().CheckRollback(ctx); err != nil || ways["web1"].Move != "start" || !ways["web1"].Started || !ways["web1"].Checks[0].OK {
		t.Errorf("cold: %+v, %v", ways["web1"], err)
	}
	st := b.stable("1.1.0")
	if idle := st.Hosts[0].Status.Slots[st.Hosts[0].Status.Stable.Other()]; idle.Live.State != "stopped" || st.Run != last || st.Hosts[0].Status.Session != nil {
		t.Errorf("afterwards: %+v, run %s, session %v", idle, st.Run, st.Hosts[0].Status.Session)
	}
	p := b.pipeline()
	p.Target.Traffic.Router = "none"
	if _, ways, err = p.CheckRollback(ctx); err != nil || ways["web1"].Started || ways["web1"].NotStarted == "" || !ways["web1"].Intact {
		t.Errorf("a worker: %+v, %v", ways["web1"], err)
	}

	files, err := filepath.Glob(filepath.Join(b.machines["web1"].layout.Programs, "services", "orders", "releases", "1.0.0-*", "version.txt"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], []byte("by hand"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, ways, err = b.pipeline().CheckRollback(ctx)
	if problem.KindOf(err) != problem.Failed || problem.HintOf(err) == "" || ways["web1"].Intact || !strings.Contains(ways["web1"].Problem, "version.txt") {
		t.Errorf("damaged: %+v, %v", ways["web1"], err)
	}
	if err := b.pipeline().LockAcquire(ctx, "audit"); err != nil {
		t.Fatal(err)
	}
	b.machines["web1"].cut()
	if _, _, err = b.pipeline().CheckRollback(ctx); problem.KindOf(err) != problem.Unreachable {
		t.Errorf("nobody answers: %v", err)
	}
}

// stops stops the idle slot, as the end of keepWarm does.
func (b *bed) stops(version string) {
	b.t.Helper()
	st := b.stable("1.1.0").Hosts[0].Status
	idle := st.Stable.Other()
	if st.Slots[idle].Release.Version != version {
		b.t.Fatalf("the idle slot holds %s", st.Slots[idle].Release)
	}
	if err := b.machines["web1"].scm.Stop(b.t.Context(), idle.Service("orders"), b.target.Service.StopTimeout); err != nil {
		b.t.Fatal(err)
	}
}
