package host

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

func (r *run) hold(d time.Duration) {
	r.t.Helper()
	if _, err := r.c.Hold(context.Background(), rpc.Hold{Fenced: r.f, For: d, Limit: 7}); err != nil {
		r.t.Fatal(err)
	}
}

// holds tells for how long the router was told to let requests wait.
func (m *machine) holds() time.Duration {
	m.t.Helper()
	v, err := m.proxy.Get(context.Background(), app)
	if err != nil {
		m.t.Fatal(err)
	}
	if v.Hold > 0 && v.HoldLimit != 7 {
		m.t.Errorf("limit %d", v.HoldLimit)
	}
	return v.Hold
}

func TestHoldIsLeasedAndUndone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m, r := underway(t)
	r.hold(10 * time.Second)
	if got := m.holds(); got != 10*time.Second {
		t.Errorf("held for %v, want 10s", got)
	}
	r.hold(time.Hour)
	if got := m.holds(); got > 30*time.Second || got == 0 {
		t.Errorf("held for %v, beyond the lease of 30s", got)
	}
	r.hold(0)
	if got := m.holds(); got != 0 {
		t.Errorf("held for %v after it was ended", got)
	}
	r.hold(10 * time.Second)
	if _, err := m.c.Undo(ctx, rpc.Undo{Fenced: r.f, State: runRolledBack, Why: "test"}); err != nil {
		t.Fatal(err)
	}
	if got := m.holds(); got != 0 {
		t.Errorf("held for %v after the undo", got)
	}
	_, err := m.c.Hold(ctx, rpc.Hold{Fenced: rpc.Fenced{Service: app, Run: r.f.Run, Fence: r.f.Fence - 1}, For: time.Second})
	m.code(err, rpc.CodeFenced)
	_, err = m.c.Hold(ctx, rpc.Hold{Fenced: r.f, For: -1})
	m.code(err, rpc.CodeFailed)
}

func TestHoldEndsWithItsSession(t *testing.T) {
	t.Parallel()
	m, r := underway(t)
	r.hold(20 * time.Second)
	r.release(runFailed)
	if got := m.holds(); got != 0 {
		t.Errorf("held for %v after the session", got)
	}
}

// What is not read cannot wait: a hold is refused, and a way back that would
// hold requests closes connections instead.
func TestConnectionsAreNotHeld(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	r := m.acquire("r1", "deploy")
	p := r.startParams(r.push("1.0.0"))
	p.Traffic.Mode, p.Hold = rpc.ModeTCP, time.Minute
	if _, err := m.c.Start(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	_, err := m.c.Hold(context.Background(), rpc.Hold{Fenced: r.f, For: time.Second})
	m.code(err, rpc.CodeFailed)
	var e *rpc.Error
	if !errors.As(err, &e) || e.Hint == "" {
		t.Errorf("%v has no hint", err)
	}
	r.hold(0)
	r.weight(release.Full)
	r.commit(0)
	r.release("Promoted")
	r = m.acquire("r2", "deploy")
	p = r.startParams(r.push("1.1.0"))
	p.Traffic.Mode, p.Hold = rpc.ModeTCP, time.Minute
	if _, err := m.c.Replace(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	if v, err := m.proxy.Get(context.Background(), app); err != nil || v.Hold != 0 || v.Mode != rpc.ModeTCP {
		t.Errorf("%+v, %v", v.Route, err)
	}
}
