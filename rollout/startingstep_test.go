package rollout

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// latePlan begins to judge with the second weight.
func latePlan() Plan {
	p := canaryPlan()
	p.Steps = []Step{percent(5), pauseFor(20 * time.Second), percent(20), analyse}
	p.Signals[0].StartingStep = 2
	p.Signals[0].MinRequests = 50
	return p
}

// TestSignalsWaitForTheirStep: what fails before the starting step is not
// judged, and what was before it does not count behind it.
func TestSignalsWaitForTheirStep(t *testing.T) {
	r := newRig(t, latePlan())
	r.errors = func(h string) int64 {
		if r.looks[h].weight == 500 {
			return 40
		}
		return 0
	}
	r.run(200).wantEnd(Promoted)
	r.wantTold(Shift, "web1 5%", "web2 5%", "web1 20%", "web2 20%", "web1 100%", "web2 100%")
	if strings.Contains(r.end.Why, "evidence") {
		t.Errorf("why %q, but there was evidence", r.end.Why)
	}
	step := ""
	for _, n := range r.notes() {
		switch n := n.(type) {
		case StepNote:
			step = n.What
		case MeasurementNote:
			if step == "setWeight 5%" || step == "pause 20s" {
				t.Errorf("measured in %s: %+v", step, n)
			}
		}
	}
}

// TestEvidenceWaitsForItsStep: bets that were lost before the starting step are no evidence behind it.
func TestEvidenceWaitsForItsStep(t *testing.T) {
	p := latePlan()
	p.SettleTime = 2 * time.Minute
	p.Signals = []Signal{{Name: "evidence", Kind: "evidence", StartingStep: 2, Interval: 5 * time.Second}}
	bad := func(weight int) *rig {
		r := newRig(t, p)
		r.errors = func(h string) int64 {
			if int(r.looks[h].weight) == weight {
				return 40
			}
			return 0
		}
		return r
	}
	bad(500).run(300).wantEnd(Promoted)
	bad(2000).run(300).wantEnd(RolledBack, "that the canary is worse", "at step 4/5")
}

// TestStartingStepInTheMiddleOfAWeight: a signal also begins at a pause or an analysis.
func TestStartingStepInTheMiddleOfAWeight(t *testing.T) {
	p := latePlan()
	p.Steps = []Step{percent(5), pauseFor(20 * time.Second), pauseFor(20 * time.Second)}
	r := newRig(t, p)
	r.errors = func(string) int64 {
		if r.e.place() == "step 2/4" {
			return 40
		}
		return 0
	}
	r.run(200).wantEnd(Promoted)
	r.errors = nil
}

// TestHardRulesDoNotWait: a starting step delays signals, and nothing else.
func TestHardRulesDoNotWait(t *testing.T) {
	for name, setup := range map[string]func(*rig){
		"dead": func(r *rig) { r.errors = func(string) int64 { return 100 } },
		"restarted": func(r *rig) {
			r.on["pause 20s"] = []Event{Counted{Host: "web1", Live: Instance{State: "running", PID: 9}}}
		},
		"lost": func(r *rig) { r.on["pause 20s"] = []Event{HostLost{Host: "web1"}} },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, latePlan())
			setup(r)
			r.run(100).wantEnd(RolledBack, "at step 2/5")
		})
	}
}

// TestOneSignalStartsLater: the others judge meanwhile.
func TestOneSignalStartsLater(t *testing.T) {
	p := latePlan()
	early := p.Signals[0]
	early.Name, early.StartingStep = "early", 0
	p.Signals = append(p.Signals, early)
	r := newRig(t, p)
	r.errors = func(string) int64 { return 40 }
	r.run(200).wantEnd(RolledBack, "early canary 40 %", "at step 2/5")
}

// TestAskedSignalsStartLater: nobody is asked before.
func TestAskedSignalsStartLater(t *testing.T) {
	p := latePlan()
	p.Signals = []Signal{{Name: "web", Kind: "asked", Success: ">= 1", Interval: 5 * time.Second, StartingStep: 2}}
	r := newRig(t, p).run(24)
	asked := func() bool { return slices.ContainsFunc(r.log, func(c Command) bool { return c.Verb == Measure }) }
	if asked() {
		t.Error("asked before its step")
	}
	if r.run(10); !asked() {
		t.Error("not asked in its step")
	}
}

// TestLaterBatchesCountAtOnce, and so does what a resumed run comes back to.
func TestLaterBatchesCountAtOnce(t *testing.T) {
	p := latePlan()
	p.Batches = [][]string{{"web1"}, {"web2"}}
	r := newRig(t, p)
	r.errors = func(h string) int64 {
		if h == "web2" && r.looks[h].weight > 0 {
			return 40
		}
		return 0
	}
	r.run(200).wantEnd(RolledBack, "errors canary 40 %", "at batch 2/2 step 2/3")

	p = latePlan()
	p.From = Position{Batch: 1, Step: 2}
	r = newRig(t, p)
	r.errors = func(h string) int64 { return int64(40 * (1 - min(1, int(r.looks[h].weight)/2000))) }
	r.run(200).wantEnd(Promoted)
}

func TestStartingStepsThatMakeNoSense(t *testing.T) {
	for want, change := range map[string]func(*Plan){
		"starts with step 4, counted from 0, and there are 4": func(p *Plan) { p.Signals[0].StartingStep = 4 },
		"analysis before the starting step": func(p *Plan) {
			p.Signals[0].StartingStep = 3
			p.Steps = p.Steps[2:]
			p.Steps = append(p.Steps, percent(30), analyse)
		},
		"must not be negative": func(p *Plan) { p.Signals[0].StartingStep = -1 },
	} {
		p := latePlan()
		change(&p)
		if _, err := New(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
