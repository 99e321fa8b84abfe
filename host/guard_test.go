package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

const (
	blue  = app + "-blue"
	green = app + "-green"
)

func TestFirstAndSecondDeploy(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	r := m.acquire("r1", "deploy")
	got := r.start("1.0.0")
	if !got.First || got.Slot != release.Blue || got.Port != 8101 {
		t.Errorf("first start: %+v", got)
	}
	if stable, _ := m.proxy.weight(app); stable != "" {
		t.Errorf("route shows %q before the commit", stable)
	}
	if spec := m.scm.spec(blue); spec.Start != scm.Manual || spec.Recovery != nil || spec.Account != `NT SERVICE\orders-blue` {
		t.Errorf("canary's service: %+v", spec)
	}
	r.commit(0)
	r.release(runPromoted)
	m.serves(release.Blue, "1.0.0", blue)
	if spec := m.scm.spec(blue); spec.Start != scm.Auto || len(spec.Recovery) != 2 {
		t.Errorf("stable's service: %+v", spec)
	}

	r = m.acquire("r2", "deploy")
	if got := r.start("1.1.0"); got.First || got.Slot != release.Green {
		t.Errorf("second start: %+v", got)
	}
	tr := r.weight(500)
	if tr.Weights[release.Green] != 500 || tr.Weights[release.Blue] != 9500 || !tr.Leased {
		t.Errorf("traffic: %+v", tr)
	}
	if err := m.c.Prepare(ctx, r.f); err != nil {
		t.Fatal(err)
	}
	r.commit(time.Minute)
	r.release(runPromoted)
	m.serves(release.Green, "1.1.0", blue, green)
	if spec := m.scm.spec(blue); spec.Start != scm.Manual || spec.Recovery != nil {
		t.Errorf("old slot's service: %+v", spec)
	}
	role, err := os.ReadFile(filepath.Join(m.layout.Service(app), "slots", "green", "role"))
	if err != nil || string(role) != "stable" {
		t.Errorf("role of the new stable: %q, %v", role, err)
	}
	m.clock.advance(time.Minute)
	m.eventually("the warm slot stops", func() bool { return len(m.scm.running()) == 1 })
	m.serves(release.Green, "1.1.0", green)
}

func TestSessions(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	r := m.acquire("r1", "deploy")
	again, err := m.tryAcquire("r1", "deploy")
	if err != nil || again.Fence != r.f.Fence {
		t.Errorf("the same run again: %+v, %v", again, err)
	}
	_, err = m.tryAcquire("r2", "deploy")
	m.code(err, rpc.CodeLocked)
	_, err = m.c.Acquire(ctx, rpc.Acquire{Service: app, Environment: "other", Run: "r3", Verb: "deploy", Owner: "bob", TTL: time.Minute})
	m.code(err, rpc.CodeConflict)
	_, err = m.c.Acquire(ctx, rpc.Acquire{Service: "ORDERS", Environment: "test", Run: "r3", Verb: "deploy", Owner: "bob", TTL: time.Minute})
	m.code(err, rpc.CodeConflict)
	_, err = m.c.Renew(ctx, rpc.Fenced{Service: app, Run: "r1", Fence: r.f.Fence - 1})
	m.code(err, rpc.CodeFenced)
	_, err = m.c.Renew(ctx, rpc.Fenced{Service: app, Run: "r0", Fence: r.f.Fence})
	m.code(err, rpc.CodeLocked)
	r.release(runFailed)
	r.release(runFailed)
	_, err = m.c.Renew(ctx, r.f)
	m.code(err, rpc.CodeFenced)
	if next := m.acquire("r2", "deploy"); next.f.Fence <= r.f.Fence {
		t.Errorf("fence went from %d to %d", r.f.Fence, next.f.Fence)
	}
	m.restart()
	if _, err := m.c.Renew(ctx, rpc.Fenced{Service: app, Run: "r2", Fence: r.f.Fence + 1}); err != nil {
		t.Errorf("the session did not survive a restart: %v", err)
	}
}

func TestFenceGrowsOverEveryKindOfRestart(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	last := m.acquire("r0", "deploy").f.Fence
	for i, again := range []func(){m.restart, m.powerCut, func() { m.clock.advance(time.Hour); m.restart() }} {
		again()
		m.settled()
		r := &run{m, rpc.Fenced{}}
		st := m.status()
		if st.Session != nil {
			r.f = rpc.Fenced{Service: app, Run: st.Session.Run, Fence: st.Session.Fence}
			r.release(runFailed)
		}
		fence := m.acquire("n"+string(rune('a'+i)), "deploy").f.Fence
		if fence <= last {
			t.Errorf("restart %d: fence %d after %d", i, fence, last)
		}
		last = fence
	}
}

func TestFrozenAndManualLocks(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	m.deploy("r1", "1.0.0")
	if err := m.c.Freeze(ctx, rpc.Freeze{Service: app, By: "ann", Message: "audit"}); err != nil {
		t.Fatal(err)
	}
	_, err := m.tryAcquire("r2", "deploy")
	m.code(err, rpc.CodeConflict)
	if err := m.c.Freeze(ctx, rpc.Freeze{Service: app, Thaw: true}); err != nil {
		t.Fatal(err)
	}
	s, err := m.c.Acquire(ctx, rpc.Acquire{Service: app, Environment: "test", Run: "l1", Verb: "lock", Owner: "ann", Manual: true, Message: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	m.clock.advance(time.Hour)
	_, err = m.tryAcquire("r2", "deploy")
	m.code(err, rpc.CodeLocked)
	m.powerCut()
	_, err = m.tryAcquire("r2", "deploy")
	m.code(err, rpc.CodeLocked)
	r := run{m, rpc.Fenced{Service: app, Run: "l1", Fence: s.Fence}}
	r.release(runAborted)
	m.acquire("r2", "deploy")
	if id := m.status().Run.ID; id != "r2" {
		t.Errorf("latest run is %s", id)
	}
}

func TestRequestsComeOnceAndSurvive(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	m.code(m.c.Request(ctx, rpc.Ask{Service: app, Kind: "abort"}), rpc.CodeNotFound)
	r := m.acquire("r1", "deploy")
	for _, kind := range []string{"pause", "resume", "abort"} {
		if err := m.c.Request(ctx, rpc.Ask{Service: app, Kind: kind, By: "bob"}); err != nil {
			t.Fatal(err)
		}
	}
	m.code(m.c.Request(ctx, rpc.Ask{Service: app, Kind: "destroy"}), rpc.CodeFailed)
	m.restart()
	for i, want := range []int{3, 0} {
		got, err := m.c.Renew(ctx, r.f)
		if err != nil || len(got.Requests) != want {
			t.Errorf("renewal %d brought %v, %v", i, got.Requests, err)
		}
	}
}

func TestExpiryUndoesEveryPhase(t *testing.T) {
	for _, phase := range []string{phaseLocked, phaseStarted, phaseShifting, phasePrepared} {
		t.Run(phase, func(t *testing.T) {
			m := newMachine(t)
			m.deploy("r1", "1.0.0")
			r := m.acquire("r2", "deploy")
			if phase != phaseLocked {
				r.start("1.1.0")
			}
			if phase == phaseShifting || phase == phasePrepared {
				r.weight(2500)
			}
			if phase == phasePrepared {
				if err := m.c.Prepare(context.Background(), r.f); err != nil {
					t.Fatal(err)
				}
			}
			if got := m.status().Run.Phase; got != phase {
				t.Fatalf("phase is %s", got)
			}
			m.clock.advance(29 * time.Second)
			if _, err := m.c.Renew(context.Background(), r.f); err != nil {
				t.Fatal(err)
			}
			m.clock.advance(30 * time.Second)
			m.eventually("the session is free", func() bool { return m.status().Session == nil })
			m.serves(release.Blue, "1.0.0", blue)
			st := m.status()
			if st.Run.State != runLost || st.Run.Why == "" || st.Run.ID != "r2" {
				t.Errorf("run: %+v", st.Run)
			}
			_, err := m.c.Renew(context.Background(), r.f)
			m.code(err, rpc.CodeFenced)
			_, err = m.c.SetTraffic(context.Background(), rpc.SetTraffic{Fenced: r.f, Weight: 1})
			m.code(err, rpc.CodeFenced)
			_, err = m.c.Commit(context.Background(), rpc.Commit{Fenced: r.f})
			m.code(err, rpc.CodeFenced)
			records, err := m.c.Read(context.Background(), rpc.Read{Service: app, Run: "r2"})
			if err != nil || len(records) != 1 || records[0].Type != journal.TypeUndone {
				t.Errorf("journal: %+v, %v", records, err)
			}
			m.deploy("r3", "1.1.0")
			m.serves(release.Green, "1.1.0", blue, green)
		})
	}
}

func TestExpiryAfterTheCommitKeepsTheNewRevision(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	r := m.acquire("r2", "deploy")
	r.start("1.1.0")
	r.commit(time.Hour)
	m.clock.advance(31 * time.Second)
	m.eventually("the session is free", func() bool { return m.status().Session == nil })
	m.serves(release.Green, "1.1.0", blue, green)
	if st := m.status().Run; st.State != runPromoted {
		t.Errorf("run: %+v", st)
	}
	if got := r.commit(time.Hour); got.Release.Version != "1.1.0" {
		t.Errorf("asked again after the session: %+v", got)
	}
}

func TestExpiryOfAFirstDeploy(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	r := m.acquire("r1", "deploy")
	r.start("1.0.0")
	r.weight(release.Full)
	m.clock.advance(time.Minute)
	m.eventually("the session is free", func() bool { return m.status().Session == nil })
	m.serves("", "")
	_, err := m.c.Rollback(context.Background(), rpc.Rollback{Service: app, By: "ann"})
	m.code(err, rpc.CodeNotFound)
}

func TestExpiryInTheMiddleOfAStart(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	r := m.acquire("r2", "deploy")
	rel := r.push("1.1.0")
	block := make(chan struct{})
	m.scm.edit(func() { m.scm.blocking = block })
	result := make(chan error, 1)
	go func() {
		_, err := m.c.Start(context.Background(), r.startParams(rel))
		result <- err
	}()
	m.eventually("the start is under way", func() bool { return m.status().Run.Phase == phaseStarting })
	if _, err := m.c.Renew(context.Background(), r.f); err != nil {
		t.Errorf("a renewal waits for a start: %v", err)
	}
	m.clock.advance(31 * time.Second)
	if err := <-result; err == nil {
		t.Error("the start succeeded")
	}
	close(block)
	m.eventually("the session is free", func() bool { return m.status().Session == nil })
	m.serves(release.Blue, "1.0.0", blue)
}

func TestUndo(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	r := m.acquire("r2", "deploy")
	r.start("1.1.0")
	r.weight(500)
	u := rpc.Undo{Fenced: r.f, State: runRolledBack, Why: "5xx 3 %"}
	for range 2 {
		got, err := m.c.Undo(context.Background(), u)
		if err != nil || got.Release.Version != "1.0.0" || got.Slot != release.Blue {
			t.Fatalf("undo: %+v, %v", got, err)
		}
	}
	m.serves(release.Blue, "1.0.0", blue)
	r.release(runRolledBack)
	if st := m.status().Run; st.State != runRolledBack || st.Why != "5xx 3 %" || st.Phase != phaseUndone {
		t.Errorf("run: %+v", st)
	}
	if _, err := m.c.Undo(context.Background(), u); err != nil {
		t.Errorf("asked again after the session: %v", err)
	}
}

func TestReleaseNeverLeavesACanary(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	r := m.acquire("r2", "deploy")
	r.start("1.1.0")
	r.weight(500)
	r.release(runPromoted)
	m.serves(release.Blue, "1.0.0", blue)
	if st := m.status(); st.Session != nil || st.Run.State != runFailed {
		t.Errorf("status: %+v", st.Run)
	}
}

func TestUndoWaitsForADeadRouter(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	r := m.acquire("r2", "deploy")
	r.start("1.1.0")
	r.weight(500)
	m.proxy.fail(errPower)
	result := make(chan error, 1)
	go func() {
		_, err := m.c.Undo(context.Background(), rpc.Undo{Fenced: r.f})
		result <- err
	}()
	m.eventually("the undo is under way", func() bool {
		reverting := false
		s, _ := m.guard.service(app)
		s.tell(func() { reverting = s.reverting })
		return reverting
	})
	if got := m.scm.running(); len(got) != 2 {
		t.Errorf("running: %v: stopped while the router may still use it", got)
	}
	m.proxy.fail(nil)
	m.clock.advance(time.Second)
	if err := <-result; err != nil {
		t.Error(err)
	}
	m.serves(release.Blue, "1.0.0", blue)
}

func TestStartsThatFail(t *testing.T) {
	tests := []struct {
		name string
		set  func(m *machine)
	}{
		{"does not start", func(m *machine) { m.scm.failing[green] = &scm.StartError{Service: green, Code: 1067} }},
		{"never listens", func(m *machine) { m.scm.deaf[green] = true }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.deploy("r1", "1.0.0")
			r := m.acquire("r2", "deploy")
			rel := r.push("1.1.0")
			m.scm.edit(func() { tt.set(m) })
			result := make(chan error, 1)
			go func() {
				_, err := m.c.Start(context.Background(), r.startParams(rel))
				result <- err
			}()
			var err error
			m.eventually("the start ends", func() bool {
				m.clock.advance(100 * time.Millisecond)
				if _, err := m.c.Renew(context.Background(), r.f); err != nil {
					t.Fatal(err)
				}
				select {
				case err = <-result:
					return true
				default:
					return false
				}
			})
			m.code(err, rpc.CodeUnhealthy)
			_, err = m.c.SetTraffic(context.Background(), rpc.SetTraffic{Fenced: r.f, Weight: 1})
			m.code(err, rpc.CodeConflict)
			r.release(runFailed)
			m.serves(release.Blue, "1.0.0", blue)
		})
	}
}

func TestParkAndGoOn(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	m.deploy("r1", "1.0.0")
	park := func(id string) {
		r := m.acquire(id, "deploy")
		r.start("1.1.0")
		r.weight(500)
		for range 2 {
			if err := m.c.Park(ctx, rpc.Park{Fenced: r.f, Why: "waits", For: time.Hour, Step: 3}); err != nil {
				t.Fatal(err)
			}
		}
		m.serves(release.Blue, "1.0.0", blue, green)
		if st := m.status(); st.Session != nil || st.Run.State != runPaused || st.Run.Step != 3 {
			t.Fatalf("parked: %+v", st.Run)
		}
	}
	t.Run("promote", func(t *testing.T) {
		park("r2")
		r := m.acquire("r2", "promote")
		if got := r.start("1.1.0"); !got.Already || got.Slot != release.Green {
			t.Errorf("start of a parked slot: %+v", got)
		}
		r.weight(release.Full)
		if _, err := m.c.Undo(ctx, rpc.Undo{Fenced: r.f, State: runAborted}); err != nil {
			t.Fatal(err)
		}
		r.release(runAborted)
		m.serves(release.Blue, "1.0.0", blue)
	})
	t.Run("a new deploy", func(t *testing.T) {
		park("r3")
		r := m.acquire("r4", "deploy")
		r.release(runFailed) // another host refused: the parked run stays
		if st := m.status().Run; st.ID != "r3" || st.State != runPaused {
			t.Errorf("run: %+v", st)
		}
		r = m.acquire("r5", "deploy")
		r.start("1.2.0")
		r.release(runAborted)
		m.serves(release.Blue, "1.0.0", blue)
	})
	t.Run("a rollback", func(t *testing.T) {
		park("r6")
		r := m.acquire("r7", "rollback")
		r.release(runRolledBack)
		m.serves(release.Blue, "1.0.0", blue)
		if st := m.status().Run; st.ID != "r6" || st.State != runRolledBack {
			t.Errorf("run: %+v", st)
		}
	})
	t.Run("too long", func(t *testing.T) {
		park("r8")
		m.clock.advance(time.Hour)
		m.eventually("the run ends", func() bool { return m.status().Run.State == runAborted })
		m.serves(release.Blue, "1.0.0", blue)
	})
	t.Run("a restart of the guard", func(t *testing.T) {
		park("r9")
		m.restart()
		m.serves(release.Blue, "1.0.0", blue, green)
	})
	t.Run("a power cut", func(t *testing.T) {
		m.powerCut()
		m.serves(release.Blue, "1.0.0", blue)
		if st := m.status().Run; st.State != runLost {
			t.Errorf("run: %+v", st)
		}
	})
}

func TestRollbackOnTheHost(t *testing.T) {
	ctx := context.Background()
	back := rpc.Rollback{Service: app, By: "ann"}
	two := func(m *machine) {
		m.deploy("r1", "1.0.0")
		m.deploy("r2", "1.1.0")
	}
	tests := []struct {
		name    string
		prepare func(m *machine)
		version string
		code    string
		running []string
	}{
		{"nothing earlier", func(m *machine) { m.deploy("r1", "1.0.0") }, "1.0.0", rpc.CodeNotFound, []string{blue}},
		{"alive", func(m *machine) {
			m.deploy("r1", "1.0.0")
			r := m.acquire("r2", "deploy")
			r.start("1.1.0")
			r.weight(2500)
		}, "1.0.0", "", []string{blue}},
		{"alive, nothing started", func(m *machine) {
			m.deploy("r1", "1.0.0")
			m.acquire("r2", "deploy")
		}, "1.0.0", "", []string{blue}},
		{"committed, warm", two, "1.0.0", "", []string{blue}},
		{"committed, cold", func(m *machine) {
			two(m)
			m.clock.advance(time.Hour)
			m.eventually("cold", func() bool { return len(m.scm.running()) == 1 })
		}, "1.0.0", "", []string{blue}},
		{"committed, cold, does not start", func(m *machine) {
			two(m)
			m.clock.advance(time.Hour)
			m.eventually("cold", func() bool { return len(m.scm.running()) == 1 })
			m.scm.edit(func() { m.scm.failing[blue] = &scm.StartError{Service: blue, Code: 1067} })
		}, "1.1.0", rpc.CodeUnhealthy, []string{green}},
		{"twice", func(m *machine) {
			two(m)
			if _, err := m.c.Rollback(ctx, back); err != nil {
				t.Fatal(err)
			}
		}, "1.0.0", rpc.CodeNotFound, []string{blue}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			tt.prepare(m)
			m.settled()
			got, err := m.c.Rollback(ctx, back)
			if tt.code != "" {
				m.code(err, tt.code)
			} else if err != nil || got.Release.Version != tt.version {
				t.Errorf("%+v, %v", got, err)
			}
			m.eventually("the other slot rests", func() bool { return len(m.scm.running()) == 1 })
			st := m.status()
			m.serves(st.Stable, tt.version, tt.running...)
			if st.Session != nil {
				t.Errorf("session: %+v", st.Session)
			}
		})
	}
}

func TestRollbackByTheController(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	m.deploy("r1", "1.0.0")
	m.deploy("r2", "1.1.0")
	st := m.status()
	r := m.acquire("r3", "rollback")
	p := r.startParams(release.Release{})
	p.Kept = st.Retained[1].Revision
	got, err := m.c.Start(ctx, p)
	if err != nil || !got.Already || got.Slot != release.Blue {
		t.Fatalf("start of what is warm: %+v, %v", got, err)
	}
	r.weight(release.Full)
	if _, err := m.c.Commit(ctx, rpc.Commit{Fenced: r.f, Rejected: true, KeepWarm: time.Minute}); err != nil {
		t.Fatal(err)
	}
	r.release(runRolledBack)
	m.serves(release.Blue, "1.0.0", blue, green)
	st = m.status()
	if len(st.Retained) != 2 || st.Retained[0].Release.Version != "1.0.0" || !st.Retained[1].Rejected {
		t.Errorf("retained: %+v", st.Retained)
	}
	if st.Run.State != runRolledBack {
		t.Errorf("run: %+v", st.Run)
	}
}

func TestUndoOfARollbackKeepsTheWarmSlotWarm(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	m.deploy("r2", "1.1.0")
	r := m.acquire("r3", "rollback")
	p := r.startParams(release.Release{})
	p.Kept = m.status().Retained[1].Revision
	if _, err := m.c.Start(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	if _, err := m.c.Undo(context.Background(), rpc.Undo{Fenced: r.f}); err != nil {
		t.Fatal(err)
	}
	m.serves(release.Green, "1.1.0", blue, green)
	r.release(runFailed)
}

func TestPowerCuts(t *testing.T) {
	t.Run("canary", func(t *testing.T) {
		m := newMachine(t)
		m.deploy("r1", "1.0.0")
		r := m.acquire("r2", "deploy")
		r.start("1.1.0")
		r.weight(2500)
		m.powerCut()
		m.serves(release.Blue, "1.0.0", blue)
		st := m.status()
		if st.Session != nil || st.Run.State != runLost {
			t.Errorf("status: %+v %+v", st.Session, st.Run)
		}
	})
	t.Run("clone", func(t *testing.T) {
		m := newMachine(t)
		m.deploy("r1", "1.0.0")
		r := m.acquire("r2", "deploy")
		r.start("1.1.0")
		m.stop()
		m.id = "machine-2"
		m.up()
		m.serves(release.Blue, "1.0.0", blue)
		if st := m.status(); st.Session != nil || len(st.Notes) == 0 {
			t.Errorf("status: %+v %v", st.Session, st.Notes)
		}
	})
	t.Run("damaged release", func(t *testing.T) {
		m := newMachine(t)
		m.deploy("r1", "1.0.0")
		rel, _, _ := bundle("1.0.0")
		if err := os.Truncate(filepath.Join(m.layout.Release(app, rel), "orders.exe"), 3); err != nil {
			t.Fatal(err)
		}
		m.powerCut()
		if got := m.scm.running(); len(got) != 0 {
			t.Errorf("running: %v", got)
		}
		if notes := m.status().Notes; len(notes) == 0 {
			t.Error("status does not say so")
		}
	})
	t.Run("stable does not start at once", func(t *testing.T) {
		m := newMachine(t)
		m.deploy("r1", "1.0.0")
		m.stop()
		m.boot = "boot-2"
		m.scm.reboot()
		m.scm.crash(blue, 1)
		m.scm.edit(func() { m.scm.failing[blue] = &scm.StartError{Service: blue, Code: 1067} })
		m.up()
		m.settled()
		m.scm.edit(func() { delete(m.scm.failing, blue) })
		m.clock.advance(time.Minute)
		m.eventually("stable runs", func() bool { return len(m.scm.running()) == 1 })
		m.serves(release.Blue, "1.0.0", blue)
	})
}

func TestGuardRestartKeepsTheLease(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	r := m.acquire("r2", "deploy")
	r.start("1.1.0")
	r.weight(2500)
	m.clock.advance(20 * time.Second)
	m.restart()
	m.settled()
	if _, w := m.proxy.weight(app); w != 2500 {
		t.Errorf("weight after the restart: %v", w)
	}
	if left := m.status().Session.Remaining; left > 10*time.Second {
		t.Errorf("the lease grew to %s", left)
	}
	m.clock.advance(10 * time.Second)
	m.eventually("the session is free", func() bool { return m.status().Session == nil })
	m.serves(release.Blue, "1.0.0", blue)
}

// The power goes out, or the guard dies, after each write of the way to a commit.
func TestCommitCrashPoints(t *testing.T) {
	for write := 1; write <= 5; write++ {
		for _, power := range []bool{true, false} {
			t.Run(fmt.Sprintf("write %d, power cut %v", write, power), func(t *testing.T) {
				t.Parallel()
				m := newMachine(t)
				m.deploy("r1", "1.0.0")
				m.settled()
				r := m.acquire("r2", "deploy")
				r.start("1.1.0")
				r.weight(release.Full)
				m.crashAfter(write)
				if m.c.Prepare(context.Background(), r.f) == nil {
					_, _ = m.c.Commit(context.Background(), rpc.Commit{Fenced: r.f, KeepWarm: time.Hour})
				}
				if power {
					m.powerCut()
				} else {
					m.restart()
					m.clock.advance(time.Minute)
					m.eventually("the session is free", func() bool { return m.status().Session == nil })
				}
				switch {
				case write == 1:
					m.serves(release.Blue, "1.0.0", blue)
				case power:
					m.serves(release.Green, "1.1.0", green)
				default:
					m.serves(release.Green, "1.1.0", blue, green)
				}
				stable := m.status().Stable
				if a, b := m.scm.spec(stable.Service(app)).Start, m.scm.spec(stable.Other().Service(app)).Start; a != scm.Auto || b != scm.Manual {
					t.Errorf("stable starts %s, the other %s", a, b)
				}
			})
		}
	}
}

// crashAfter lets the state's n-th write from now on be the last one that
// the guard gets to know of.
func (m *machine) crashAfter(n int) {
	s, err := m.guard.service(app)
	if err != nil {
		m.t.Fatal(err)
	}
	writes := 0
	crash := func(string) error {
		if writes++; writes >= n {
			return errPower
		}
		return nil
	}
	s.tell(func() { s.stateFile.wrote, s.sessionFile.wrote = crash, crash })
}

func TestStateThatCannotBeRead(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	m.deploy("r2", "1.1.0")
	m.settled()
	m.stop()
	path := filepath.Join(m.layout.Service(app), "state.json")
	if err := os.WriteFile(path, []byte(`{"protocol":1`), 0o600); err != nil {
		t.Fatal(err)
	}
	m.up()
	m.settled()
	if st := m.status(); len(st.Notes) == 0 || st.Stable != release.Green {
		t.Errorf("one copy lost: %+v", st)
	}
	m.stop()
	for _, p := range []string{path, path + ".previous"} {
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := m.scm.running()
	m.up()
	m.settled()
	if _, err := m.tryAcquire("r3", "deploy"); err == nil {
		t.Error("a session without a state")
	}
	if st := m.status(); !st.Known || len(st.Notes) == 0 {
		t.Errorf("status: %+v", st)
	}
	if got := m.scm.running(); len(got) != len(before) {
		t.Errorf("running %v before, %v now", before, got)
	}
}

func TestPruneAndRemove(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	for i, v := range []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0"} {
		m.deploy("r"+string(rune('1'+i)), v)
		m.settled()
	}
	r := m.acquire("p1", "prune")
	for _, dry := range []bool{true, false} {
		got, err := m.c.Prune(ctx, rpc.Prune{Fenced: r.f, Keep: 2, DryRun: dry})
		if err != nil || len(got.Removed) != 3 || len(got.Kept) != 2 || got.Bytes == 0 {
			t.Errorf("dry %v: %+v, %v", dry, got, err)
		}
	}
	if got, err := m.c.Prune(ctx, rpc.Prune{Fenced: r.f, Keep: 1}); err != nil || len(got.Removed) != 0 {
		t.Errorf("the previous one went: %+v, %v", got, err)
	}
	r.release(runPromoted)
	r = m.acquire("x1", "remove")
	for range 2 {
		if err := m.c.Remove(ctx, rpc.Remove{Fenced: r.f}); err != nil {
			t.Fatal(err)
		}
	}
	if st := m.status(); st.Known {
		t.Errorf("status: %+v", st)
	}
	if names, _ := m.scm.List(ctx, ""); len(names) != 0 {
		t.Errorf("services remain: %v", names)
	}
	for _, dir := range []string{m.layout.Service(app), filepath.Join(m.layout.Programs, "services", app), m.layout.Router()} {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s remains: %v", dir, err)
		}
	}
	m.deploy("n1", "1.0.0")
	m.serves(release.Blue, "1.0.0", blue)
}

func TestEveryCallTwice(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	m.deploy("r1", "1.0.0")
	r := m.acquire("r2", "deploy")
	rel := r.push("1.1.0")
	_, files, _ := bundle("1.1.0")
	commit := rpc.Commit{Fenced: r.f, KeepWarm: time.Hour}
	ended := rpc.Ended{Fenced: r.f, State: runPromoted}
	rec := []journal.Record{record("r2", 1, "x")}
	calls := []struct {
		name string
		call func() (any, error)
	}{
		{"acquire", func() (any, error) { s, err := m.tryAcquire("r2", "deploy"); return s.Fence, err }},
		{"install", func() (any, error) {
			return nil, m.c.Install(ctx, rpc.Install{Fenced: r.f, Release: rel, Files: files})
		}},
		{"start", func() (any, error) { s, err := m.c.Start(ctx, r.startParams(rel)); s.Already = false; return s, err }},
		{"traffic", func() (any, error) {
			tr, err := m.c.SetTraffic(ctx, rpc.SetTraffic{Fenced: r.f, Weight: 500})
			return tr.Weights[release.Green], err
		}},
		{"append", func() (any, error) { return nil, m.c.Append(ctx, rpc.Append{Service: app, Run: "r2", Records: rec}) }},
		{"read", func() (any, error) { l, err := m.c.Read(ctx, rpc.Read{Service: app, Run: "r2"}); return len(l), err }},
		{"prepare", func() (any, error) { return nil, m.c.Prepare(ctx, r.f) }},
		{"commit", func() (any, error) { return m.c.Commit(ctx, commit) }},
		{"release", func() (any, error) { return nil, m.c.ReleaseSession(ctx, ended) }},
		{"commit afterwards", func() (any, error) { return m.c.Commit(ctx, commit) }},
		{"freeze", func() (any, error) { return nil, m.c.Freeze(ctx, rpc.Freeze{Service: app, By: "ann"}) }},
	}
	for _, c := range calls {
		first, err := c.call()
		second, again := c.call()
		if err != nil || again != nil || first != second {
			t.Errorf("%s: first %v (%v), second %v (%v)", c.name, first, err, second, again)
		}
	}
	m.serves(release.Green, "1.1.0", blue, green)
}

func TestUndoBreaksIntoAStart(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	r := m.acquire("r2", "deploy")
	rel := r.push("1.1.0")
	m.scm.edit(func() { m.scm.deaf[green] = true })
	result := make(chan error, 1)
	go func() {
		_, err := m.c.Start(context.Background(), r.startParams(rel))
		result <- err
	}()
	m.eventually("the instance is waited for", func() bool { return len(m.scm.running()) == 2 })
	got, err := m.c.Undo(context.Background(), rpc.Undo{Fenced: r.f, State: runAborted})
	if err != nil || got.Release.Version != "1.0.0" {
		t.Errorf("undo: %+v, %v", got, err)
	}
	if err := <-result; err == nil {
		t.Error("the start succeeded")
	}
	m.serves(release.Blue, "1.0.0", blue)
	_, err = m.c.Start(context.Background(), r.startParams(rel))
	m.code(err, rpc.CodeConflict)
	r.release(runAborted)
}

func TestSlotWithTrafficIsNotReplaced(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	r := m.acquire("r2", "deploy")
	r.start("1.1.0")
	r.weight(500)
	_, err := m.c.Start(context.Background(), r.startParams(r.push("1.2.0")))
	m.code(err, rpc.CodeConflict)
	m.serving(release.Green, 500)
}

// serving checks the canary's share.
func (m *machine) serving(slot release.Slot, w release.Weight) {
	m.t.Helper()
	if _, got := m.proxy.weight(app); got != w {
		m.t.Errorf("%s gets %v, want %v", slot, got, w)
	}
}

func TestCheckSeesWhoAnswers(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	r := m.acquire("r2", "deploy")
	r.start("1.1.0")
	check := rpc.Check{Fenced: r.f, TCP: true, Interval: time.Second, Deadline: 3 * time.Second}
	result := make(chan rpc.CheckReply, 1)
	m.scm.edit(func() { m.scm.deaf[green] = true })
	go func() {
		got, err := m.c.Check(context.Background(), check)
		if err != nil {
			t.Error(err)
		}
		result <- got
	}()
	var got rpc.CheckReply
	m.eventually("the check gives up", func() bool {
		m.clock.advance(time.Second)
		if _, err := m.c.Renew(context.Background(), r.f); err != nil {
			t.Fatal(err)
		}
		select {
		case got = <-result:
			return true
		default:
			return false
		}
	})
	if got.OK || got.Detail == "" {
		t.Errorf("a stranger's port counts: %+v", got)
	}
	m.scm.crash(green, 7)
	got, err := m.c.Check(context.Background(), check)
	if err != nil || got.OK || !strings.Contains(got.Detail, "exit code 7") {
		t.Errorf("a dead instance: %+v, %v", got, err)
	}
}

func TestUninstall(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	m.deploy("r1", "1.0.0")
	_, err := Uninstall(ctx, m.layout, m.scm, "shipper-guard")
	m.code(err, rpc.CodeConflict)
	r := m.acquire("x", "remove")
	if err := m.c.Remove(ctx, rpc.Remove{Fenced: r.f}); err != nil {
		t.Fatal(err)
	}
	m.stop()
	left, err := Uninstall(ctx, m.layout, m.scm, "shipper-guard")
	if err != nil || left != "" {
		t.Errorf("%q, %v", left, err)
	}
	for _, dir := range []string{m.layout.Data, m.layout.Programs} {
		if _, err := os.Lstat(dir); !os.IsNotExist(err) {
			t.Errorf("%s remains: %v", dir, err)
		}
	}
}
