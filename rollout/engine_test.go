package rollout

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCanaryToTheEnd(t *testing.T) {
	p := canaryPlan()
	p.Bake = 10 * time.Second
	r := newRig(t, p).run(120)
	r.wantEnd(Promoted, "committed on web1, web2")
	if strings.Contains(r.end.Why, "evidence") {
		t.Errorf("why %q, but there was evidence", r.end.Why)
	}
	r.wantTold(Shift, "web1 5%", "web2 5%", "web1 95%", "web2 95%", "web1 100%", "web2 100%")
	want := []string{"1/1 1/4 setWeight 5%", "1/1 2/4 analysis", "1/1 3/4 bake 10s", "1/1 4/4 setWeight 100%"}
	if got := r.steps(); !slices.Equal(got, want) {
		t.Errorf("steps %q, want %q", got, want)
	}
	order := r.told(Start, Smoke, Prepare, Commit)
	want = []string{"start web1", "start web2", "smoke web1", "smoke web2", "prepare web1", "prepare web2", "commit web1", "commit web2"}
	if !slices.Equal(order, want) {
		t.Errorf("told %q, want %q", order, want)
	}
}

func TestBatchesAndFirstDeploys(t *testing.T) {
	p := canaryPlan()
	p.Batches = [][]string{{"a1", "a2"}, {"b1", "b2"}}
	p.First = map[string]bool{"a1": false, "a2": true, "elsewhere": false}
	p.Bake = 5 * time.Second
	r := newRig(t, p).run(300)
	r.wantEnd(Promoted)
	r.wantTold(Shift, "a1 5%", "a1 95%", "a1 100%", "b1 5%", "b2 5%", "b1 95%", "b2 95%", "b1 100%", "b2 100%", "a2 100%")
	r.wantTold(Prepare, "a1", "b1", "b2", "a2")
	var told []string
	for _, n := range r.notes() {
		if s, ok := n.(StepNote); ok && s.Hosts != nil {
			told = append(told, fmt.Sprint(s.Batch, "/", s.Step, " ", s.Hosts))
		}
	}
	if want := []string{"1/1 [a1]", "2/1 [b1 b2]", "3/1 [a2]"}; !slices.Equal(told, want) {
		t.Errorf("batches told %q, want %q", told, want)
	}
}

func TestBlueGreenShiftsAllAtOnce(t *testing.T) {
	p := Plan{Strategy: BlueGreen, Batches: [][]string{{"a"}, {"b"}}}
	r := newRig(t, p).run(10)
	r.wantEnd(Promoted, "evidence: none")
	r.wantTold(Shift, "a 100%", "b 100%")

	p.Bake, p.Signals = 5*time.Second, canaryPlan().Signals
	p.SettleTime = time.Minute
	r = newRig(t, p).run(60)
	r.wantEnd(Promoted)
	r.wantTold(Shift, "a 95%", "b 95%", "a 100%", "b 100%")
	if strings.Contains(r.end.Why, "evidence") {
		t.Errorf("why %q, but the bake gave evidence", r.end.Why)
	}
}

func TestFirstDeployOfTheFleet(t *testing.T) {
	p := canaryPlan()
	p.First = map[string]bool{"web1": true, "web2": true}
	r := newRig(t, p).run(10)
	r.wantEnd(Promoted)
	r.wantTold(Shift, "web1 100%", "web2 100%")

	r = newRig(t, p)
	r.fail["smoke web2"] = 1
	r.run(10).wantEnd(Failed, "smoke on web2: broken")
	r.wantTold(Undo, "web1", "web2")
}

// TestFailuresBeforeTheCommit: whatever fails, every host that was started
// goes back, and the end says why.
func TestFailuresBeforeTheCommit(t *testing.T) {
	lost := HostLost{Host: "web2", Err: errors.New("no route")}
	tests := []struct {
		name  string
		setup func(*rig)
		undo  []string
		why   []string
	}{
		{"start", func(r *rig) { r.fail["start web1"] = 1 }, []string{"web1", "web2"}, []string{"start on web1: broken → Failed at start, 0 s after start"}},
		{"smoke", func(r *rig) { r.fail["smoke web2"] = 1 }, []string{"web1", "web2"}, []string{"smoke on web2"}},
		{"shift", func(r *rig) { r.fail["shift web2"] = 1 }, []string{"web1", "web2"}, []string{"shift to 5% on web2", "step 1/3"}},
		{"prepare", func(r *rig) { r.fail["prepare web1"] = 1 }, []string{"web1", "web2"}, []string{"prepare on web1", "at prepare"}},
		{"signal", func(r *rig) { r.errors = func(string) int64 { return 40 } }, []string{"web1", "web2"}, []string{"errors canary 40 % (", "vs stable 0 % (0/", "limit 1 %", "→ Failed at step 2/3", "after first traffic"}},
		{"dead canary on one host", func(r *rig) {
			r.errors = func(h string) int64 {
				if h == "web2" {
					return 100
				}
				return 0
			}
		}, []string{"web1", "web2"}, []string{"web2: the last", "all failed, stable 0 %"}},
		{"canary restarts", func(r *rig) {
			r.on["shift web1"] = []Event{Counted{Host: "web1", Live: Instance{State: "running", PID: 7}}, Counted{Host: "web1", Live: Instance{State: "running", PID: 9}}}
		}, []string{"web1", "web2"}, []string{"web1: canary restarted: process 7 is now 9"}},
		{"canary stops", func(r *rig) { r.live["web2"] = Instance{State: "stopped"} }, []string{"web1", "web2"}, []string{"web2: canary is stopped"}},
		{"host lost at start", func(r *rig) { r.mute["start web2"] = true; r.on["start web2"] = []Event{lost} }, []string{"web1"}, []string{"web2 is lost: no route", "left to the lease: web2"}},
		{"host lost at a step", func(r *rig) { r.on["analysis"] = []Event{lost} }, []string{"web1"}, []string{"web2 is lost: no route", "left to the lease: web2"}},
		{"host lost at prepare", func(r *rig) { r.mute["prepare web2"] = true; r.on["prepare web2"] = []Event{lost} }, []string{"web1"}, []string{"web2 is lost", "left to the lease: web2"}},
		{"no progress", func(r *rig) { r.mute["smoke web2"] = true }, []string{"web1", "web2"}, []string{"no progress for 1m: smoke not done on web2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := canaryPlan()
			p.ProgressDeadline = time.Minute
			p.First = map[string]bool{"web1": false, "web2": false}
			r := newRig(t, p)
			tt.setup(r)
			r.run(200).wantEnd(RolledBack, tt.why...)
			r.wantTold(Undo, tt.undo...)
			r.wantTold(Commit)
			for _, c := range r.log {
				if c.Verb == Undo && (c.State != RolledBack || !strings.Contains(c.Why, tt.why[0])) {
					t.Errorf("undo says %s %q", c.State, c.Why)
				}
			}
			v := r.verdicts()
			if len(v) == 0 || v[len(v)-1].Outcome != FailedSignal || !strings.Contains(v[len(v)-1].Why, tt.why[0]) {
				t.Errorf("verdicts %+v", v)
			}
		})
	}
}

func TestEarlierBatchesGoBackToo(t *testing.T) {
	p := canaryPlan()
	p.Batches = [][]string{{"a"}, {"b"}, {"c"}}
	r := newRig(t, p)
	r.fail["smoke b"] = 1
	r.run(100).wantEnd(RolledBack, "batch 2/3 smoke")
	r.wantTold(Undo, "a", "b")
}

func TestFinishedBatchesAreWatched(t *testing.T) {
	p := canaryPlan()
	p.Batches = [][]string{{"a"}, {"b"}}
	r := newRig(t, p)
	bad := false
	r.on["start b"] = []Event{Tick{}}
	r.errors = func(h string) int64 {
		if bad = bad || slices.Contains(r.told(Start), "start b"); bad && h == "a" {
			return 100
		}
		return 0
	}
	r.run(100).wantEnd(RolledBack, "a: the last")
	r.wantTold(Undo, "a", "b")
}

func TestCommitRound(t *testing.T) {
	t.Run("is repeated where it failed", func(t *testing.T) {
		r := newRig(t, canaryPlan())
		r.fail["commit web2"] = 2
		r.run(100).wantEnd(Promoted)
		r.wantTold(Commit, "web1", "web2", "web2", "web2")
	})
	t.Run("ends split", func(t *testing.T) {
		r := newRig(t, canaryPlan())
		r.fail["commit web1"] = 100
		r.on["commit web1"] = []Event{HostLost{Host: "web1", Err: errors.New("off")}}
		r.run(100).wantEnd(Split, "committed on web2; not known to be committed: web1 (")
		r.wantTold(Commit, "web1", "web2", "web1", "web1")
		r.wantTold(Undo)
	})
	t.Run("can not be stopped", func(t *testing.T) {
		r := newRig(t, canaryPlan())
		r.fail["commit web1"] = 1
		r.on["commit web2"] = []Event{Asked{Kind: AskAbort}, Interrupted{Why: "SIGINT"}, Asked{Kind: AskPause}, Counted{Host: "web1", Live: Instance{State: "stopped"}}}
		r.run(100).wantEnd(Promoted)
		r.wantTold(Undo)
	})
	t.Run("ends without an answer", func(t *testing.T) {
		p := canaryPlan()
		p.ProgressDeadline = time.Minute
		r := newRig(t, p)
		r.mute["commit web2"] = true
		r.run(200).wantEnd(Split, "web2 (no answer for 1m)")
	})
}

func TestUndoIsRepeatedAndThenLeftToTheLease(t *testing.T) {
	r := newRig(t, canaryPlan())
	r.fail["smoke web1"] = 1
	r.fail["undo web2"] = 2
	r.run(30).wantEnd(RolledBack)
	r.wantTold(Undo, "web1", "web2", "web2", "web2")
	if strings.Contains(r.end.Why, "lease") {
		t.Errorf("why %q: nothing is owed", r.end.Why)
	}

	r = newRig(t, canaryPlan())
	r.fail["smoke web1"] = 1
	r.fail["undo web2"] = 100
	r.run(30).wantEnd(RolledBack, "left to the lease: web2 (broken)")

	r = newRig(t, canaryPlan())
	r.fail["smoke web1"] = 1
	r.mute["undo web2"] = true
	r.on["undo web2"] = []Event{HostLost{Host: "web2", Err: errors.New("off")}}
	r.run(30).wantEnd(RolledBack, "left to the lease: web2 (lost: off)")
}

// TestScope: a narrow scope keeps and commits what has all traffic already.
func TestScope(t *testing.T) {
	for _, scope := range []string{ScopeBatch, ScopeHost} {
		p := canaryPlan()
		p.Batches, p.Scope = [][]string{{"a"}, {"b"}, {"c"}}, scope
		r := newRig(t, p)
		r.fail["smoke b"] = 1
		r.run(100).wantEnd(Split, "smoke on b", "committed on a", "back on stable: b, c")
		r.wantTold(Undo, "b")
		r.wantTold(Commit, "a")
	}
	for scope, undone := range map[string][]string{ScopeBatch: {"a1", "a2"}, ScopeHost: {"a1"}} {
		p := canaryPlan()
		p.Batches, p.Scope = [][]string{{"a1", "a2"}, {"b"}}, scope
		r := newRig(t, p)
		r.fail["prepare a1"] = 1
		r.run(100).wantEnd(Split)
		r.wantTold(Undo, undone...)
	}
}

// TestScopeOfASecondFailure: when the hosts that were kept fail too, all go back.
func TestScopeOfASecondFailure(t *testing.T) {
	p := canaryPlan()
	p.Batches, p.Scope = [][]string{{"a"}, {"b"}, {"c"}}, ScopeBatch
	r := newRig(t, p)
	r.fail["smoke c"], r.fail["prepare a"] = 1, 1
	r.run(100).wantEnd(RolledBack)
	r.wantTold(Undo, "c", "a", "b")
	r.wantTold(Commit)
}

// TestHostsThatWentBackAreNotJudged: their old slots stop, as they should.
func TestHostsThatWentBackAreNotJudged(t *testing.T) {
	p := canaryPlan()
	p.Batches, p.Scope = [][]string{{"a"}, {"b"}}, ScopeBatch
	r := newRig(t, p)
	r.fail["smoke b"] = 1
	r.on["prepare a"] = []Event{Counted{Host: "b", Live: Instance{State: "stopped"}}}
	r.run(100).wantEnd(Split, "committed on a")
}

// TestBatchesHaveTheirOwnEvidence: what finished hosts do says nothing about
// the batch that steps.
func TestBatchesHaveTheirOwnEvidence(t *testing.T) {
	p := canaryPlan()
	p.Batches = [][]string{{"a"}, {"b"}}
	r := newRig(t, p)
	r.quiet = "b"
	r.run(200).wantState(Paused)
	r.wantTold(Shift, "a 5%", "a 100%", "b 5%")
}

// TestEveryStepNeedsEvidence: one proven step does not vouch for the next.
func TestEveryStepNeedsEvidence(t *testing.T) {
	p := canaryPlan()
	p.Steps = []Step{percent(5), analyse, percent(50), analyse}
	p.OnInsufficient = OnInsufficientPromote
	p.Batches = [][]string{{"web1"}}
	r := newRig(t, p)
	for len(r.told(Shift)) < 2 {
		r.run(1)
	}
	r.wantTold(Shift, "web1 5%", "web1 50%")
	r.rps = 0
	r.run(100).wantEnd(Promoted, "evidence: none")
}

func TestStepsWithoutTraffic(t *testing.T) {
	p := canaryPlan()
	p.Steps = []Step{percent(0), pauseFor(20 * time.Second), percent(5), analyse, percent(100)}
	r := newRig(t, p).run(19)
	for _, n := range r.notes() {
		if m, ok := n.(MeasurementNote); ok {
			t.Fatalf("measured at weight 0: %+v", m)
		}
	}
	r.run(60).wantEnd(Promoted)
	r.wantTold(Shift, "web1 0%", "web2 0%", "web1 5%", "web2 5%", "web1 100%", "web2 100%")
}

func TestResumedRun(t *testing.T) {
	p := canaryPlan()
	p.Batches = [][]string{{"a"}, {"b"}}
	p.Steps = []Step{percent(5), pauseFor(0), percent(50), analyse}
	p.From = Position{Batch: 1, Step: 2}
	r := newRig(t, p).run(5)
	r.wantState(Paused)
	r.wantTold(Shift, "a 5%")
	r.send(Asked{Kind: AskPromote})
	r.run(100).wantEnd(Promoted)
	r.wantTold(Shift, "a 5%", "a 50%", "a 100%", "b 50%", "b 100%")

	p.From = Position{Batch: 2, Step: 2}
	r = newRig(t, p).run(100)
	r.wantEnd(Promoted)
	if got := r.steps(); !slices.Equal(got, []string{"2/2 2/3 analysis", "2/2 3/3 setWeight 100%"}) {
		t.Errorf("steps %q", got)
	}
	r.wantTold(Shift, "a 100%", "b 50%", "b 100%")
	r.wantTold(Smoke, "a", "b")

	p.From = Position{Batch: 1, Step: 3}
	r = newRig(t, p).run(100)
	r.wantTold(Shift, "a 50%", "a 100%", "b 50%", "b 100%")
}

func TestNothingFollowsTheEnd(t *testing.T) {
	r := newRig(t, canaryPlan()).run(100)
	for _, ev := range []Event{Begin{}, Tick{}, Asked{Kind: AskAbort}, Interrupted{}, HostLost{Host: "web1"}, Counted{Host: "web1"}, Done{}} {
		if out := r.e.Step(r.now, ev); out != nil {
			t.Errorf("%T after the end: %+v", ev, out)
		}
	}
}

func TestEndsBeforeBegin(t *testing.T) {
	for want, ev := range map[State]Event{
		Aborted:    Interrupted{Why: "SIGTERM"},
		RolledBack: HostLost{Host: "web1", Err: errors.New("off")},
	} {
		r := newRig(t, canaryPlan())
		r.send(ev)
		r.wantEnd(want)
		r.wantTold(Undo)
	}
}
