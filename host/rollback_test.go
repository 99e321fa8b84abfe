package host

import (
	"context"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/release"
)

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
