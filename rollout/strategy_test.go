package rollout

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRollingGoesHostByHost(t *testing.T) {
	p := canaryPlan()
	p.Strategy, p.Batches, p.Bake, p.Steps = Rolling, [][]string{{"a"}, {"b", "c"}}, 10*time.Second, nil
	r := newRig(t, p).run(200)
	r.wantEnd(Promoted, "committed on a, b, c")
	r.wantTold(Shift, "a 100%", "b 100%", "c 100%")
	want := []string{"1/3 1/2 setWeight 100%", "1/3 2/2 bake 10s", "2/3 1/2 setWeight 100%", "2/3 2/2 bake 10s", "3/3 1/2 setWeight 100%", "3/3 2/2 bake 10s"}
	if got := r.steps(); !slices.Equal(got, want) {
		t.Errorf("steps %q", got)
	}
	if strings.Contains(r.end.Why, "evidence: none") {
		t.Errorf("why %q, but each host was proven", r.end.Why)
	}
	p.MaxUnavailable = 2
	r = newRig(t, p).run(200)
	r.wantEnd(Promoted)
	if got := r.told(Start, Shift); !slices.Equal(got, []string{"start a", "shift a 100%", "start b", "start c", "shift b 100%", "shift c 100%"}) {
		t.Errorf("told %q", got)
	}
}

// TestRollingStopsAtABadHost: the next one is not touched, the first goes back.
func TestRollingStopsAtABadHost(t *testing.T) {
	p := canaryPlan()
	p.Strategy, p.Bake = Rolling, 5*time.Second
	r := newRig(t, p)
	r.errors = func(string) int64 { return 40 }
	r.run(200).wantEnd(RolledBack, "errors canary 40 %")
	r.wantTold(Start, "web1")
	r.wantTold(Undo, "web1")
}

// TestRecreateHoldsBetween: nothing waits for a person between the old
// instance and the new one, and an interruption goes back instead of parking.
func TestRecreateHoldsBetween(t *testing.T) {
	p := canaryPlan()
	p.Strategy, p.Bake = Recreate, 30*time.Second
	p.OnFailure = OnFailurePause
	r := newRig(t, p)
	r.on["start web1"] = []Event{Asked{Kind: AskPause}}
	r.run(5).wantState(Paused)
	r.wantTold(Shift, "web1 100%")
	r.send(Interrupted{Why: "SIGTERM"})
	r.wantEnd(Aborted)
	r.wantTold(Park)
	r.wantTold(Undo, "web1")

	r = newRig(t, p)
	r.fail["smoke web1"] = 1
	r.run(5).wantEnd(RolledBack, "smoke on web1")
}

func TestBudgetLeavesHostsBehind(t *testing.T) {
	p := canaryPlan()
	p.Batches, p.Budget, p.ProgressDeadline = [][]string{{"a"}, {"b", "c"}, {"d", "e"}}, 2, time.Minute
	r := newRig(t, p)
	r.fail["start b"], r.mute["smoke d"] = 1, true
	r.run(300).wantEnd(Promoted, "committed on a, c, e; left behind: b (start on b: broken), d (no progress for 1m: smoke not done on d)")
	if !slices.Equal(r.end.Behind, []string{"b", "d"}) {
		t.Errorf("behind %v", r.end.Behind)
	}
	r.wantTold(Undo, "b", "d")
	r.wantTold(Commit, "a", "c", "e")
	for _, c := range r.log {
		if c.Verb == Commit && !slices.Equal(c.Behind, []string{"b", "d"}) {
			t.Errorf("commit on %s names %v", c.Host, c.Behind)
		}
	}
}

// TestBudgetHasItsLimits: of each batch a host must be left that tells whether
// the release is good, and what it does under traffic is never excused.
func TestBudgetHasItsLimits(t *testing.T) {
	tests := map[string]func(*Plan, *rig){
		"more than the budget":  func(_ *Plan, r *rig) { r.fail["start b"], r.fail["start c"] = 1, 1 },
		"all hosts of a batch":  func(_ *Plan, r *rig) { r.fail["smoke a"] = 1 },
		"an instance that died": func(_ *Plan, r *rig) { r.live["c"] = Instance{State: "stopped"} },
		"lost beyond the spare": func(_ *Plan, r *rig) {
			r.on["smoke b"] = []Event{HostLost{Host: "b", Err: errors.New("off")}, HostLost{Host: "c", Err: errors.New("off")}}
		},
	}
	for name, setup := range tests {
		t.Run(name, func(t *testing.T) {
			p := canaryPlan()
			p.Batches, p.Budget = [][]string{{"a"}, {"b", "c", "d"}}, 1
			r := newRig(t, p)
			setup(&p, r)
			r.run(200).wantEnd(RolledBack)
			r.wantTold(Commit)
		})
	}
}

func TestLostHostsAreSpared(t *testing.T) {
	p := canaryPlan()
	p.Batches, p.Spare = [][]string{{"a", "b", "c"}}, 2
	lost := HostLost{Host: "b", Err: errors.New("off")}
	for _, at := range []string{"start c", "shift c", "prepare c"} {
		r := newRig(t, p)
		r.on[at] = []Event{lost}
		r.run(200).wantEnd(Promoted, "committed on a, c; left behind: b (b is lost: off)")
		if !slices.Equal(r.end.Behind, []string{"b"}) {
			t.Errorf("behind %v", r.end.Behind)
		}
		r.wantTold(Undo)
	}
	r := newRig(t, p)
	r.on["start c"], r.fail["smoke a"] = []Event{lost}, 1
	r.run(200).wantEnd(RolledBack, "left behind: b")
	if !slices.Equal(r.end.Behind, []string{"b"}) {
		t.Errorf("it was started and nobody told it: %v", r.end.Behind)
	}
}

func TestFewStartAtATime(t *testing.T) {
	p := canaryPlan()
	p.Batches, p.MaxParallel = [][]string{{"a", "b", "c"}}, 2
	r := newRig(t, p)
	r.mute["start a"] = true
	r.send(Begin{})
	if got := r.told(Start, Smoke); !slices.Equal(got, []string{"start a", "start b", "start c"}) {
		t.Errorf("told %q: c comes when b is done, and a is still at it", got)
	}
	r = newRig(t, p)
	r.mute["start a"], r.mute["start b"] = true, true
	r.run(10).wantTold(Start, "a", "b")
}

// TestPreview: before its promotion a blue-green runs beside stable, at weight
// 0, until somebody says so.
func TestPreview(t *testing.T) {
	p := canaryPlan()
	p.Strategy, p.Steps, p.Bake = BlueGreen, []Step{pauseFor(0)}, 5*time.Second
	r := newRig(t, p).run(60)
	r.wantState(Paused)
	r.wantTold(Shift, "web1 0%", "web2 0%")
	r.send(Asked{Kind: AskPromote})
	r.run(120).wantEnd(Promoted)
	r.wantTold(Shift, "web1 0%", "web2 0%", "web1 95%", "web2 95%", "web1 100%", "web2 100%")

	p.From = Position{Batch: 1, Step: 2}
	r = newRig(t, p).run(10)
	r.wantState(Paused)
	r.wantTold(Shift, "web1 0%", "web2 0%")

	p.Steps = []Step{analyse}
	if _, err := New(p); err == nil {
		t.Error("an analysis without traffic is taken")
	}
}
