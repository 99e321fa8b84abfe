package host

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/release"
)

// These tests are about two things that come due at the same time.

// An operator takes a service back whose controller is lost; while its
// requests drain, the lease runs out as well.
func TestLeaseEndsDuringTheOperatorsRollback(t *testing.T) {
	t.Parallel()
	m, r := underway(t)
	r.weight(2500)
	hold := make(chan struct{})
	m.proxy.hold(hold)
	ended := make(chan error, 1)
	go func() {
		_, err := m.c.Rollback(context.Background(), rpc.Rollback{Service: app, By: "ann"})
		ended <- err
	}()
	m.eventually("the run is taken back", func() bool { return m.status().Run.State == runRolledBack })
	m.clock.advance(time.Minute)
	s, err := m.guard.service(app)
	if err != nil {
		t.Fatal(err)
	}
	m.eventually("the end of the lease is noticed", func() bool {
		noticed := false
		s.tell(func() { noticed = s.undoing })
		return noticed
	})
	close(hold)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	m.proxy.hold(nil)
	got, err := m.tryAcquire("r3", "deploy")
	if err != nil || got.Run != "r3" || got.Fence <= r.f.Fence {
		t.Fatalf("the next run got %+v, %v; want a session of its own", got, err)
	}
	if err := m.c.ReleaseSession(context.Background(), rpc.Ended{Fenced: rpc.Fenced{Service: app, Run: "r3", Fence: got.Fence}}); err != nil {
		t.Error(err)
	}
	m.serves(release.Blue, "1.0.0", blue)
}

// The time of the warm slot ends while a run has just given it traffic again.
func TestKeepWarmEndsWhileTheSlotIsUsedAgain(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	r2 := m.acquire("r2", "deploy")
	r2.start("1.1.0")
	r2.weight(release.Full)
	r2.commit(20 * time.Second)
	r2.release(runPromoted)

	r3 := m.acquire("r3", "deploy")
	if got := r3.start("1.0.0"); !got.Already {
		t.Fatalf("%+v: want the warm slot", got)
	}
	r3.weight(2500)
	m.clock.advance(15 * time.Second)
	if _, err := m.c.Renew(context.Background(), r3.f); err != nil {
		t.Fatal(err)
	}
	m.clock.advance(15 * time.Second)
	m.settled()
	if _, weight := m.proxy.weight(app); weight != 2500 || len(m.scm.running()) != 2 {
		t.Fatalf("the canary has %v, running: %v", weight, m.scm.running())
	}
	if err := m.c.Prepare(context.Background(), r3.f); err != nil {
		t.Error(err)
	}
	if _, err := m.c.Undo(context.Background(), rpc.Undo{Fenced: r3.f, Why: "bad"}); err != nil {
		t.Fatal(err)
	}
	m.eventually("the slot rests", func() bool { return len(m.scm.running()) == 1 })
	r3.release(runRolledBack)
	m.serves(release.Green, "1.1.0", green)
}

// A new run pushes while the parked one's time ends.
func TestParkedRunEndsWhileAnotherBegins(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	r2 := m.acquire("r2", "deploy")
	r2.start("1.1.0")
	if err := m.c.Park(context.Background(), rpc.Park{Fenced: r2.f, Why: "night", For: 10 * time.Second}); err != nil {
		t.Fatal(err)
	}
	r3 := m.acquire("r3", "deploy")
	rel := r3.push("1.2.0")
	m.clock.advance(20 * time.Second)
	m.settled()
	if _, err := m.c.Start(context.Background(), r3.startParams(rel)); err != nil {
		t.Fatal(err)
	}
	r3.release(runAborted)
	m.serves(release.Blue, "1.0.0", blue)
}

// A router that hangs must not hold a run that is taken back for ever.
func TestDrainThatNeverEnds(t *testing.T) {
	t.Parallel()
	m, r := underway(t)
	r.weight(2500)
	hold := make(chan struct{})
	defer close(hold)
	m.proxy.hold(hold)
	if _, err := m.c.Undo(context.Background(), rpc.Undo{Fenced: r.f, Why: "bad"}); err != nil {
		t.Fatal(err)
	}
	m.eventually("the slot rests", func() bool {
		m.clock.advance(time.Second)
		return len(m.scm.running()) == 1
	})
	m.serves(release.Blue, "1.0.0", blue)
}

// A warm slot may still be sending somebody a large file: the next release
// waits for that before it takes the slot.
func TestWarmSlotIsDrainedBeforeItIsReplaced(t *testing.T) {
	t.Parallel()
	m, r := underway(t)
	r.commit(time.Hour)
	r.release(runPromoted)
	next := m.acquire("r9", "deploy")
	rel := next.push("1.9.0")
	hold := make(chan struct{})
	m.proxy.hold(hold)
	started := make(chan error, 1)
	go func() {
		_, err := m.c.Start(context.Background(), next.startParams(rel))
		started <- err
	}()
	m.eventually("the old instance is drained", func() bool { return m.proxy.waiting() == 1 })
	if n := len(m.scm.running()); n != 2 {
		t.Errorf("%d instances run while one has requests", n)
	}
	close(hold)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	next.release(runAborted)
	m.serves(release.Green, "1.1.0", green)
}

// The last service goes, and the router with it, while another one comes.
func TestServiceComesWhileTheLastOneGoes(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	m.deploy("r1", "1.0.0")
	gone := make(chan struct{})
	m.scm.edit(func() { m.scm.lasting = gone })
	removed := make(chan error, 1)
	last := m.acquire("x1", "remove")
	go func() { removed <- m.c.Remove(ctx, rpc.Remove{Fenced: last.f}) }()
	m.eventually("the router is being removed, under its lock", func() bool { return len(m.guard.routerLock) == 1 && !m.status().Known })

	ses, err := m.c.Acquire(ctx, rpc.Acquire{Service: "other", Environment: "test", Run: "o1", Verb: "deploy", Owner: "bob", TTL: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	other := &run{m, rpc.Fenced{Service: "other", Run: "o1", Fence: ses.Fence}}
	start := other.startParams(other.push("1.0.0"))
	start.Revision.Service, start.Ports, start.Traffic.Listen = "other", rpc.Ports{Blue: 8201, Green: 8202}, "127.0.0.1:8200"
	started := make(chan error, 1)
	go func() { _, err := m.c.Start(ctx, start); started <- err }()
	m.eventually("its slot runs", func() bool { return slices.Contains(m.scm.running(), "other-blue") })
	close(gone)
	if err := errors.Join(<-removed, <-started); err != nil {
		t.Fatal(err)
	}
	if st, err := m.scm.Status(ctx, routerA); err != nil || st.State != scm.Running {
		t.Errorf("the router is %s, %v: the new service has none", st.State, err)
	}
}

// The old slot crashes just before the commit. The recovery that it had as
// stable brings it back when it is not kept warm any more.
func TestSlotThatCrashedBeforeTheCommitDoesNotStayWhenItComesBack(t *testing.T) {
	t.Parallel()
	m, r := underway(t)
	r.weight(release.Full)
	if err := m.c.Prepare(context.Background(), r.f); err != nil {
		t.Fatal(err)
	}
	m.scm.crash(blue, 3)
	r.commit(15 * time.Minute)
	r.release(runPromoted)
	m.settled()
	if err := m.scm.Start(context.Background(), blue); err != nil {
		t.Fatal(err)
	}
	m.clock.advance(5*time.Second + strayMargin)
	m.eventually("the old slot rests", func() bool { return slices.Equal(m.scm.running(), []string{green}) })
	m.serves(release.Green, "1.1.0", green)
}
