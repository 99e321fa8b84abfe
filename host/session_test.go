package host

import (
	"context"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
)

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
