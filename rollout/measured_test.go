package rollout

import (
	"errors"
	"testing"
	"time"
)

// measured answers every question with what say gives.
func (r *rig) measured(say func() (Value, error)) {
	for i := 0; i < len(r.log); i++ {
		if c := r.log[i]; c.Verb == Measure {
			r.log[i].Verb = "asked"
			v, err := say()
			r.send(Measured{Signal: c.Signal, Seq: c.Seq, Value: v, Err: err})
		}
	}
}

func askingPlan() Plan {
	p := canaryPlan()
	none, four := 0, 4
	p.Signals = []Signal{{Name: "rate", Kind: "asked", Success: ">= 99", Interval: 5 * time.Second, InconclusiveLimit: &none, ErrorLimit: &four}}
	p.SettleTime = 10 * time.Minute
	p.ProgressDeadline = time.Hour
	return p
}

func (r *rig) runAsking(seconds int, say func() (Value, error)) *rig {
	for range seconds {
		r.run(1)
		r.measured(say)
	}
	return r
}

func TestAskedSignalLetsThrough(t *testing.T) {
	r := newRig(t, askingPlan()).runAsking(120, func() (Value, error) { return Value{Number: 99.9}, nil })
	r.wantEnd(Promoted)
}

func TestAskedSignalTakesBack(t *testing.T) {
	r := newRig(t, askingPlan()).runAsking(120, func() (Value, error) { return Value{Number: 98}, nil })
	r.wantEnd(RolledBack, "rate 98, wanted >= 99 → Failed at step")
	r.wantTold(Undo, "web1", "web2")
}

// A provider that is down is no success, and does not keep anybody from going
// back: neither a person nor a hard rule.
func TestProviderDown(t *testing.T) {
	down := func() (Value, error) { return Value{}, errors.New("connection refused") }
	r := newRig(t, askingPlan()).runAsking(60, down)
	r.wantState(Paused)
	if v := r.verdicts(); len(v) == 0 || v[len(v)-1].Outcome != Inconclusive {
		t.Errorf("verdicts %+v", v)
	}
	r.send(Asked{Kind: AskResume, By: "ann"})
	r.runAsking(10, down).wantState(Running)
	r.runAsking(30, down).wantState(Paused)
	r.send(Asked{Kind: AskAbort, By: "ann"})
	r.runAsking(5, down).wantEnd(Aborted, "aborted by ann")

	r = newRig(t, askingPlan()).runAsking(12, down)
	r.live["web1"] = Instance{State: "stopped"}
	r.runAsking(5, down).wantEnd(RolledBack, "web1: canary is stopped")
}
