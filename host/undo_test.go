package host

import (
	"context"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

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
	m, r := underway(t)
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
	m, r := underway(t)
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
	m, r := underway(t)
	r.weight(500)
	r.release(runPromoted)
	m.serves(release.Blue, "1.0.0", blue)
	if st := m.status(); st.Session != nil || st.Run.State != runFailed {
		t.Errorf("status: %+v", st.Run)
	}
}

func TestUndoWaitsForADeadRouter(t *testing.T) {
	t.Parallel()
	m, r := underway(t)
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
	var err error
	m.eventually("the undo ends", func() bool {
		m.clock.advance(time.Second) // until the guard waits for the next try, it does not help
		select {
		case err = <-result:
			return true
		default:
			return false
		}
	})
	if err != nil {
		t.Error(err)
	}
	m.serves(release.Blue, "1.0.0", blue)
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

// park leaves run id parked, with a canary in green.
func (m *machine) park(id string) {
	m.t.Helper()
	r := m.acquire(id, "deploy")
	r.start("1.1.0")
	r.weight(500)
	for range 2 {
		if err := m.c.Park(context.Background(), rpc.Park{Fenced: r.f, Why: "waits", For: time.Hour, Step: 3}); err != nil {
			m.t.Fatal(err)
		}
	}
	m.serves(release.Blue, "1.0.0", blue, green)
	if st := m.status(); st.Session != nil || st.Run.State != runPaused || st.Run.Step != 3 {
		m.t.Fatalf("parked: %+v", st.Run)
	}
}

func TestParkAndGoOn(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	m.deploy("r1", "1.0.0")
	t.Run("promote", func(t *testing.T) {
		m.park("r2")
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
		m.park("r3")
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
		m.park("r6")
		r := m.acquire("r7", "rollback")
		r.release(runRolledBack)
		m.serves(release.Blue, "1.0.0", blue)
		if st := m.status().Run; st.ID != "r6" || st.State != runRolledBack {
			t.Errorf("run: %+v", st)
		}
	})
	t.Run("too long", func(t *testing.T) {
		m.park("r8")
		m.clock.advance(time.Hour)
		m.eventually("the run ends", func() bool { return m.status().Run.State == runAborted })
		m.serves(release.Blue, "1.0.0", blue)
	})
	t.Run("a restart of the guard", func(t *testing.T) {
		m.park("r9")
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
