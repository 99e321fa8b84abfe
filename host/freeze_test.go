package host

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// freeze leaves run id failed: its slot runs without traffic, its session is
// a lock.
func (m *machine) freeze(id string) *run {
	m.t.Helper()
	r := m.acquire(id, "deploy")
	r.start("1.1.0")
	r.weight(release.Full / 10)
	if err := m.c.Park(context.Background(), rpc.Park{Fenced: r.f, Why: "bad", For: time.Hour, Freeze: true}); err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.tryAcquire("between", "deploy"); rpc.CodeOf(err) != rpc.CodeLocked {
		m.t.Errorf("between park and freeze: %v", err)
	}
	for range 2 {
		if err := m.c.ReleaseSession(context.Background(), rpc.Ended{Fenced: r.f, State: runPaused, Why: "bad", Freeze: "bad"}); err != nil {
			m.t.Fatal(err)
		}
	}
	return r
}

func TestFreezeOfAFailedRun(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	t.Run("keeps others out, for longer than a lease and over a boot", func(t *testing.T) {
		m.freeze("r2")
		m.clock.advance(10 * time.Minute)
		m.serves(release.Blue, "1.0.0", blue, green)
		for range 2 {
			_, err := m.tryAcquire("r3", "deploy")
			m.code(err, rpc.CodeLocked)
			_, err = m.tryAcquire("r3", "resume")
			m.code(err, rpc.CodeLocked)
			m.powerCut()
			m.settled()
		}
		m.serves(release.Blue, "1.0.0", blue)
		m.acquire("r4", "rollback").release(runRolledBack)
	})
	t.Run("gives way to its own run", func(t *testing.T) {
		first := m.freeze("r5")
		r := m.acquire("r5", "promote")
		if r.f.Fence <= first.f.Fence {
			t.Errorf("fence %d after %d", r.f.Fence, first.f.Fence)
		}
		if got := r.start("1.1.0"); !got.Already {
			t.Errorf("start of a frozen slot: %+v", got)
		}
		r.weight(release.Full)
		m.clock.advance(2 * time.Minute) // and has a lease again
		m.eventually("the lease ends it", func() bool { return m.status().Session == nil })
		m.serves(release.Blue, "1.0.0", blue)
	})
	t.Run("gives way to a rollback, which ends it", func(t *testing.T) {
		m.freeze("r6")
		m.acquire("r7", "rollback").release(runRolledBack)
		m.serves(release.Blue, "1.0.0", blue)
		m.acquire("r8", "deploy").release(runAborted)
	})
	t.Run("ends by a person's word, and leaves the run parked", func(t *testing.T) {
		r := m.freeze("r9")
		r.release(runAborted)
		if st := m.status(); st.Session != nil || st.Run.State != runPaused {
			t.Errorf("after the lock was released: %+v", st.Run)
		}
		next := m.acquire("r10", "deploy")
		next.start("1.2.0")
		next.release(runAborted)
		m.serves(release.Blue, "1.0.0", blue)
	})
}

func TestNoWayBackOnTheHost(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	m.deploy("r1", "1.0.0")
	r := m.acquire("r2", "deploy")
	r.start("1.1.0")
	r.weight(release.Full)
	if err := m.c.Prepare(ctx, r.f); err != nil {
		t.Fatal(err)
	}
	if _, err := m.c.Commit(ctx, rpc.Commit{Fenced: r.f, KeepWarm: time.Minute, Irreversible: true}); err != nil {
		t.Fatal(err)
	}
	r.release(runPromoted)
	for range 2 {
		_, err := m.c.Rollback(ctx, rpc.Rollback{Service: app, By: "ann"})
		m.code(err, rpc.CodeConflict)
		m.restart()
	}
	m.serves(release.Green, "1.1.0", blue, green)
	if _, err := m.c.Rollback(ctx, rpc.Rollback{Service: app, By: "ann", Override: "it works"}); err != nil {
		t.Fatal(err)
	}
	m.serves(release.Blue, "1.0.0", blue)
	if why := m.status().Run.Why; !strings.Contains(why, "ann") || !strings.Contains(why, "it works") {
		t.Errorf("recorded is %q", why)
	}
}
