package rollout

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

func pausedPlan() Plan {
	p := canaryPlan()
	p.Steps = []Step{percent(5), pauseFor(0), percent(50)}
	return p
}

func TestPauseUntilPromoted(t *testing.T) {
	r := newRig(t, pausedPlan()).run(1000)
	r.wantState(Paused)
	r.send(Asked{Kind: AskResume, By: "ann"}) // resume is not promote
	r.run(10).wantState(Paused)
	r.send(Asked{Kind: AskPromote, By: "ann"})
	r.run(10).wantEnd(Promoted)
	r.wantTold(Shift, "web1 5%", "web2 5%", "web1 50%", "web2 50%", "web1 100%", "web2 100%")
}

func TestPausedCanaryIsStillJudged(t *testing.T) {
	r := newRig(t, pausedPlan()).run(3600)
	r.wantState(Paused)
	r.errors = func(string) int64 { return 20 }
	before := r.now
	r.run(600).wantEnd(RolledBack, "of late", "step 2/4")
	if took := r.now.Sub(before); took > time.Minute {
		t.Errorf("a canary that turned bad after an hour was found after %s", took)
	}
}

func TestTimedPause(t *testing.T) {
	p := canaryPlan()
	p.Steps = []Step{percent(5), pauseFor(20 * time.Second)}
	r := newRig(t, p).run(15)
	r.wantState(Running)
	r.wantTold(Shift, "web1 5%", "web2 5%")
	r.run(10).wantEnd(Promoted)

	r = newRig(t, p)
	r.rps = 0
	r.run(45).wantState(Running)
	r.run(10).wantState(Paused) // silence is not success

	p.Signals = nil
	r = newRig(t, p)
	r.rps = 0
	r.run(25).wantEnd(Promoted, "evidence: none")

	r = newRig(t, p).run(5)
	r.send(Asked{Kind: AskPromote})
	r.wantEnd(Promoted)
}

func TestAskedPause(t *testing.T) {
	r := newRig(t, canaryPlan()).run(2)
	r.send(Asked{Kind: AskPause, By: "ann"})
	r.run(100).wantState(Paused)
	r.send(Asked{Kind: AskPause, By: "bob"})
	r.send(Asked{Kind: "dance", By: "bob"})
	r.wantTold(Shift, "web1 5%", "web2 5%")
	r.send(Asked{Kind: AskResume, By: "ann"})
	r.run(5).wantEnd(Promoted)
	if r.warnings() != 2 {
		t.Errorf("%d warnings, want one for the second pause and one for the dance", r.warnings())
	}

	r = newRig(t, canaryPlan()).run(2)
	r.send(Asked{Kind: AskPause})
	r.send(Asked{Kind: AskPromote})
	r.run(1).wantEnd(Promoted)
}

func (r *rig) warnings() int {
	n := 0
	for _, note := range r.notes() {
		if _, ok := note.(WarningNote); ok {
			n++
		}
	}
	return n
}

// TestPauseHoldsBetweenCommands: what is under way is finished, nothing new begins.
func TestPauseHoldsBetweenCommands(t *testing.T) {
	r := newRig(t, canaryPlan())
	r.on["start web2"] = []Event{Asked{Kind: AskPause}}
	r.run(20).wantState(Paused)
	r.wantTold(Smoke)
	r.send(Asked{Kind: AskResume})
	r.run(100).wantEnd(Promoted)
}

func TestPromoteFull(t *testing.T) {
	p := canaryPlan()
	p.Batches, p.Bake = [][]string{{"a"}, {"b"}}, time.Hour
	r := newRig(t, p).run(2)
	r.send(Asked{Kind: AskPromoteFull, By: "ann"})
	r.run(1).wantEnd(Promoted, "evidence: none")
	r.wantTold(Shift, "a 5%", "a 100%", "b 100%")
	r.wantTold(Smoke, "a", "b")

	r = newRig(t, p)
	r.on["start a"] = []Event{Asked{Kind: AskPromoteFull}}
	r.fail["smoke b"] = 1
	r.run(5).wantEnd(RolledBack, "smoke on b")
	r.wantTold(Shift, "a 100%")
}

func TestAbort(t *testing.T) {
	for _, at := range []string{"start web1", "smoke web2", "shift web1", "analysis", "prepare web1"} {
		r := newRig(t, canaryPlan())
		r.on[at] = []Event{Asked{Kind: AskAbort, By: "ann"}}
		r.run(100).wantEnd(Aborted, "aborted by ann at")
		r.wantTold(Undo, "web1", "web2")
		r.wantTold(Commit)
	}
	r := newRig(t, pausedPlan()).run(10)
	r.send(Asked{Kind: AskAbort})
	r.wantEnd(Aborted)
}

func TestAbortTwice(t *testing.T) {
	r := newRig(t, pausedPlan())
	r.mute["undo web1"] = true
	r.run(10)
	r.send(Asked{Kind: AskAbort})
	r.send(Asked{Kind: AskAbort})
	r.send(Interrupted{})
	r.wantTold(Undo, "web1", "web2")
	r.send(HostLost{Host: "web1", Err: errors.New("off")})
	r.wantEnd(Aborted, "left to the lease: web1")
}

func TestInterrupted(t *testing.T) {
	r := newRig(t, pausedPlan()).run(10)
	r.wantState(Paused)
	r.send(Interrupted{Why: "SIGTERM"})
	r.wantEnd(Paused, "pause until promoted at step 2/4")
	r.wantTold(Park, "web1", "web2")
	r.wantTold(Undo)

	r = newRig(t, pausedPlan())
	r.on["shift web1"] = []Event{Interrupted{Why: "SIGINT"}}
	r.run(10).wantEnd(Aborted, "interrupted: SIGINT at step 1/4")
	r.wantTold(Undo, "web1", "web2")

	r = newRig(t, pausedPlan()).run(10)
	r.fail["park web2"] = 100
	r.send(Interrupted{Why: "SIGTERM"})
	r.run(10).wantEnd(Paused, "left to the lease: web2")
}

// TestInterruptedWhileStarting: half a start can not be parked, so that goes back.
func TestInterruptedWhileStarting(t *testing.T) {
	r := newRig(t, pausedPlan())
	r.mute["start web1"] = true
	r.run(1)
	r.send(Asked{Kind: AskPause})
	r.wantState(Paused)
	r.send(Interrupted{Why: "SIGINT"})
	r.wantEnd(Aborted)
}

func TestTooLittleData(t *testing.T) {
	silent := func(policy string) *rig {
		p := canaryPlan()
		p.OnInsufficient, p.ProgressDeadline = policy, 2*time.Minute
		r := newRig(t, p)
		r.rps = 10 // no request in a second reaches a canary at 5 %
		return r
	}
	t.Run("pauses", func(t *testing.T) {
		r := silent("").run(500)
		r.wantState(Paused)
		r.send(Asked{Kind: AskResume})
		r.wantState(Running)
		r.run(40).wantState(Paused)
		r.send(Asked{Kind: AskPromote})
		r.run(5).wantEnd(Promoted, "evidence: none")
	})
	t.Run("stays paused when data comes", func(t *testing.T) {
		r := silent("").run(100)
		r.rps = 100
		r.run(60).wantState(Paused)
		r.send(Asked{Kind: AskResume})
		r.run(5).wantEnd(Promoted)
	})
	t.Run("extends until the deadline", func(t *testing.T) {
		r := silent(OnInsufficientExtend).run(100)
		r.wantState(Running)
		r.run(100).wantEnd(RolledBack, "no conclusive verdict for 2m", "0 of 50 requests needed")
	})
	t.Run("extends until there is enough", func(t *testing.T) {
		r := silent(OnInsufficientExtend).run(60)
		r.rps = 100
		r.run(60).wantEnd(Promoted)
	})
	t.Run("fails", func(t *testing.T) {
		silent(OnInsufficientFail).run(100).wantEnd(RolledBack, "not enough evidence after 30s")
	})
	t.Run("goes on without", func(t *testing.T) {
		r := silent(OnInsufficientPromote).run(100)
		r.wantEnd(Promoted, "evidence: none")
		v := r.verdicts()
		if v[0].Outcome != Inconclusive || v[0].Evidence != "none" {
			t.Errorf("verdict %+v", v[0])
		}
	})
	t.Run("counters that stop are missing data", func(t *testing.T) {
		p := pausedPlan()
		p.Steps = []Step{percent(5), pauseFor(40 * time.Second), percent(50)}
		r := newRig(t, p).run(10)
		clear(r.looks)
		r.run(61).wantState(Paused)
		v := r.verdicts()
		if !strings.Contains(v[0].Why, "no counters from web1 for") {
			t.Errorf("verdict %+v", v[0])
		}
	})
}

func TestFreezeInsteadOfRollback(t *testing.T) {
	frozen := func(setup func(*rig)) *rig {
		p := canaryPlan()
		p.OnFailure, p.ProgressDeadline = OnFailurePause, time.Minute
		r := newRig(t, p)
		setup(r)
		r.run(200).wantState(Paused)
		r.wantTold(Undo)
		if r.warnings() > 0 {
			t.Errorf("%d warnings while a person decides", r.warnings())
		}
		return r
	}
	bad := func(r *rig) { r.errors = func(string) int64 { return 40 } }
	t.Run("abort", func(t *testing.T) {
		r := frozen(bad)
		r.wantTold(Shift, "web1 5%", "web2 5%")
		r.send(Asked{Kind: AskAbort})
		r.wantEnd(Aborted)
	})
	t.Run("a person overrules the verdict", func(t *testing.T) {
		r := frozen(bad)
		r.errors = func(string) int64 { return 0 }
		r.send(Asked{Kind: AskPromote})
		r.run(10).wantEnd(Promoted, "evidence: none")
	})
	t.Run("what failed to start can not be promoted", func(t *testing.T) {
		r := frozen(func(r *rig) { r.fail["smoke web1"] = 1 })
		r.send(Asked{Kind: AskPromote})
		r.send(Asked{Kind: AskPromoteFull})
		r.send(Asked{Kind: AskResume})
		r.run(10).wantState(Paused)
		r.wantTold(Shift)
	})
	t.Run("parks when the controller ends", func(t *testing.T) {
		r := frozen(bad)
		r.send(Interrupted{Why: "SIGTERM"})
		r.wantEnd(Paused, "onFailure: pause", "errors canary 40 %")
	})
	t.Run("a host that is lost while frozen", func(t *testing.T) {
		r := frozen(bad)
		r.send(HostLost{Host: "web1", Err: errors.New("off")})
		r.send(Asked{Kind: AskPromote})
		r.run(10).wantState(Paused)
		r.send(Asked{Kind: AskAbort})
		r.wantEnd(Aborted, "left to the lease: web1")
		r.wantTold(Undo, "web2")
	})
}

func TestParkOfAFrozenRunLeavesLostHostsAlone(t *testing.T) {
	p := canaryPlan()
	p.OnFailure = OnFailurePause
	r := newRig(t, p)
	r.on["analysis"] = []Event{HostLost{Host: "web1", Err: errors.New("off")}}
	r.run(10).wantState(Paused)
	r.send(Interrupted{Why: "SIGTERM"})
	r.wantEnd(Paused, "left to the lease: web1")
	r.wantTold(Park, "web2")
}

// TestPromoteEndsTheHoldOnly: asked while a shift is under way, it does not
// skip the bake behind it.
func TestPromoteEndsTheHoldOnly(t *testing.T) {
	p := canaryPlan()
	p.Steps, p.Bake = nil, 20*time.Second
	r := newRig(t, p)
	r.on["shift web1"] = []Event{Asked{Kind: AskPause}, Asked{Kind: AskPromote}}
	r.run(15).wantState(Running)
	r.wantTold(Shift, "web1 95%", "web2 95%")
}

func TestPlanIsChecked(t *testing.T) {
	over := release.Weight(10001)
	tests := map[string]func(*Plan){
		"strategy":                  func(p *Plan) { p.Strategy = "hope" },
		"on insufficient data":      func(p *Plan) { p.OnInsufficient = "shrug" },
		"rollback scope":            func(p *Plan) { p.Scope = "galaxy" },
		"no hosts":                  func(p *Plan) { p.Batches = nil },
		"batch 2 has no hosts":      func(p *Plan) { p.Batches = append(p.Batches, nil) },
		"named twice":               func(p *Plan) { p.Batches = append(p.Batches, []string{"web1"}) },
		"which is in no batch":      func(p *Plan) { p.First = map[string]bool{"x": true} },
		"must not be negative":      func(p *Plan) { p.Bake = -1 },
		"step 3: want exactly one":  func(p *Plan) { p.Steps = append(p.Steps, Step{}) },
		"want 0 to 100":             func(p *Plan) { p.Steps = []Step{{SetWeight: &over}} },
		"pause must not":            func(p *Plan) { p.Steps = []Step{pauseFor(-1)} },
		"analysis without traffic":  func(p *Plan) { p.Steps = []Step{analyse} },
		"later step 1":              func(p *Plan) { p.LaterSteps = []Step{analyse} },
		"without a signal that":     func(p *Plan) { p.Signals[0].DryRun = true },
		"signal \"\"":               func(p *Plan) { p.Signals[0].Name = "" },
		"kind \"smell\"":            func(p *Plan) { p.Signals[0].Kind = "smell" },
		"error limits":              func(p *Plan) { p.Signals[0].MaxRatio = 0 },
		"percentile":                func(p *Plan) { p.Signals[0] = Signal{Name: "l", Kind: "latency", Percentile: 1, MaxLatency: 1} },
		"resume at batch 2":         func(p *Plan) { p.From = Position{Batch: 2, Step: 1} },
		"it has 3 steps":            func(p *Plan) { p.From = Position{Batch: 1, Step: 4} },
		"resume at batch 0 step 1:": func(p *Plan) { p.From = Position{Step: 1} },
	}
	for want, spoil := range tests {
		p := canaryPlan()
		spoil(&p)
		_, err := New(p)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}
