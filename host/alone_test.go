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

// solo is a machine whose instances must never live at the same time, with
// 1.0.0 stable in blue.
func solo(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	m.scm.edit(func() { m.scm.solo = []string{blue, green} })
	t.Cleanup(func() {
		m.scm.edit(func() {
			if len(m.scm.together) > 0 {
				t.Errorf("both instances ran when these were started: %v", m.scm.together)
			}
		})
	})
	return m
}

func (r *run) replace(version string) (rpc.Started, error) {
	r.t.Helper()
	p := r.startParams(r.push(version))
	p.Hold = 20 * time.Second
	return r.c.Replace(context.Background(), p)
}

func (r *run) replaced(version string) {
	r.t.Helper()
	if _, err := r.replace(version); err != nil {
		r.t.Fatal(err)
	}
}

// held tells for how long requests wait, and who is stable for the router.
func (m *machine) held() (time.Duration, release.Slot) {
	m.t.Helper()
	v, err := m.proxy.Get(context.Background(), app)
	if err != nil {
		m.t.Fatal(err)
	}
	return v.Hold, v.Stable
}

func TestReplace(t *testing.T) {
	t.Parallel()
	m := solo(t)
	r := m.acquire("r2", "deploy")
	r.replaced("1.1.0")
	if hold, _ := m.held(); hold != 20*time.Second || !slices.Equal(m.scm.running(), []string{green}) {
		t.Errorf("held for %v, running %v", hold, m.scm.running())
	}
	r.replaced("1.1.0") // asked again
	_, err := m.c.SetTraffic(context.Background(), rpc.SetTraffic{Fenced: r.f, Weight: 500})
	m.code(err, rpc.CodeConflict)
	if got := r.weight(release.Full); got.Weights[release.Green] != release.Full {
		t.Errorf("traffic: %+v", got)
	}
	if hold, stable := m.held(); hold != 0 || stable != release.Green {
		t.Errorf("held for %v, router sends to %s", hold, stable)
	}
	m.code(m.c.Park(context.Background(), rpc.Park{Fenced: r.f}), rpc.CodeConflict)
	if err := m.c.Prepare(context.Background(), r.f); err != nil {
		t.Fatal(err)
	}
	r.commit(time.Hour)
	r.release(runPromoted)
	m.serves(release.Green, "1.1.0", green)

	if _, err := m.c.Rollback(context.Background(), rpc.Rollback{Service: app, By: "ann"}); err != nil {
		t.Fatal(err)
	}
	m.serves(release.Blue, "1.0.0", blue)
}

// TestReplaceIsTakenBack in every phase, by whomever it may be: the old
// instance runs again, the new one does not, and never both did.
func TestReplaceIsTakenBack(t *testing.T) {
	phases := map[string]func(*run){
		"stable is stopped": func(r *run) { r.replaced("1.1.0") },
		"start failed": func(r *run) {
			r.scm.edit(func() { r.scm.failing[green] = &scm.StartError{Service: green, Code: 1067} })
			if _, err := r.replace("1.1.0"); err == nil {
				r.t.Error("the start worked")
			}
		},
		"at 100 %": func(r *run) { r.replaced("1.1.0"); r.weight(release.Full) },
		"prepared": func(r *run) {
			r.replaced("1.1.0")
			r.weight(release.Full)
			if err := r.c.Prepare(context.Background(), r.f); err != nil {
				r.t.Error(err)
			}
		},
	}
	ends := map[string]func(*run){
		"undo": func(r *run) {
			got, err := r.c.Undo(context.Background(), rpc.Undo{Fenced: r.f, State: runRolledBack, Why: "test"})
			if err != nil || got.Release.Version != "1.0.0" {
				r.t.Errorf("undo: %+v, %v", got, err)
			}
			r.release(runRolledBack)
		},
		"lease": func(r *run) { r.clock.advance(31 * time.Second) },
		"guard restarts, then the lease": func(r *run) {
			r.restart()
			r.settled()
			if st := r.status(); st.Session == nil || st.Slots[release.Blue].Live.State == "running" {
				r.t.Errorf("the run did not outlive the guard: %+v", st)
			}
			r.clock.advance(31 * time.Second)
		},
		"operator": func(r *run) {
			if _, err := r.c.Rollback(context.Background(), rpc.Rollback{Service: app, By: "ann"}); err != nil {
				r.t.Error(err)
			}
		},
		"power cut": func(r *run) { r.powerCut() },
	}
	for phase, begin := range phases {
		for end, finish := range ends {
			t.Run(phase+", "+end, func(t *testing.T) {
				t.Parallel()
				m := solo(t)
				r := m.acquire("r2", "deploy")
				r.t, m.t = t, t
				begin(r)
				m.scm.edit(func() { clear(m.scm.failing) })
				finish(r)
				m.eventually("the session is free", func() bool { return m.status().Session == nil })
				m.settled()
				m.serves(release.Blue, "1.0.0", blue)
				if hold, stable := m.held(); hold != 0 || stable != release.Blue {
					t.Errorf("held for %v, router sends to %s", hold, stable)
				}
			})
		}
	}
}

// TestStableThatDoesNotComeBackIsTriedAgain: nothing else runs meanwhile.
func TestStableThatDoesNotComeBackIsTriedAgain(t *testing.T) {
	t.Parallel()
	m := solo(t)
	r := m.acquire("r2", "deploy")
	r.replaced("1.1.0")
	m.scm.edit(func() { m.scm.failing[blue] = errors.New("disk is slow") })
	if _, err := m.c.Undo(context.Background(), rpc.Undo{Fenced: r.f, State: runRolledBack, Why: "test"}); err != nil {
		t.Log(err)
	}
	m.eventually("nothing runs", func() bool { return len(m.scm.running()) == 0 })
	m.scm.edit(func() { clear(m.scm.failing) })
	m.eventually("stable is back", func() bool {
		m.clock.advance(time.Second)
		return slices.Equal(m.scm.running(), []string{blue})
	})
	if st := m.status(); st.Run.State != runRolledBack {
		t.Errorf("run: %+v", st.Run)
	}
}

// TestOperatorKeepsWhatRuns where the earlier release does not start.
func TestOperatorKeepsWhatRuns(t *testing.T) {
	t.Parallel()
	m := solo(t)
	r := m.acquire("r2", "deploy")
	r.replaced("1.1.0")
	r.weight(release.Full)
	r.commit(0)
	r.release(runPromoted)
	m.scm.edit(func() { m.scm.failing[blue] = &scm.StartError{Service: blue, Code: 1067} })
	_, err := m.c.Rollback(context.Background(), rpc.Rollback{Service: app, By: "ann"})
	m.code(err, rpc.CodeUnhealthy)
	m.serves(release.Green, "1.1.0", green)
	if hold, stable := m.held(); hold != 0 || stable != release.Green {
		t.Errorf("held for %v, router sends to %s", hold, stable)
	}
}

// TestOverlapEndsWhereInstancesAreAlone: an old slot that is still warm from a
// deploy of the other kind does not live on.
func TestOverlapEndsWhereInstancesAreAlone(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	m.deploy("r2", "1.1.0") // blue is warm
	m.scm.edit(func() { m.scm.solo = []string{blue, green} })
	r := m.acquire("r3", "rollback")
	p := r.startParams(release.Release{Version: "1.0.0"})
	p.Kept, p.Hold = m.status().Slots[release.Blue].Revision, time.Second
	if _, err := m.c.Replace(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	if got := m.scm.running(); !slices.Equal(got, []string{blue}) || len(m.scm.together) > 0 {
		t.Errorf("running %v, together %v", got, m.scm.together)
	}
}
