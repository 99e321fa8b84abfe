package rollout

import (
	"errors"
	"testing"
)

func freezingPlan() Plan {
	p := canaryPlan()
	p.OnFailure = OnFailureFreeze
	return p
}

func (r *rig) wantFreeze(want bool) {
	r.t.Helper()
	if r.end == nil || r.end.Freeze != want {
		r.t.Errorf("end %+v, want a freeze: %v", r.end, want)
	}
}

func TestFreezeKeepsWhatRuns(t *testing.T) {
	t.Parallel()
	t.Run("a bad canary", func(t *testing.T) {
		r := newRig(t, freezingPlan())
		r.errors = func(string) int64 { return 40 }
		r.run(200).wantEnd(Paused, "frozen", "errors canary 40 %")
		r.wantFreeze(true)
		r.wantTold(Shift, "web1 5%", "web2 5%")
		r.wantTold(Park, "web1", "web2")
		r.wantTold(Undo)
	})
	t.Run("what came up is kept, the rest is not", func(t *testing.T) {
		r := newRig(t, freezingPlan())
		r.fail["start web2"] = 1
		r.run(20).wantEnd(Paused, "start on web2")
		r.wantFreeze(true)
		r.wantTold(Park, "web1")
		r.wantTold(Undo, "web2")
	})
	t.Run("nothing came up", func(t *testing.T) {
		r := newRig(t, freezingPlan())
		r.fail["start web1"], r.fail["start web2"] = 1, 1
		r.run(20).wantEnd(RolledBack)
		r.wantFreeze(false)
		r.wantTold(Park)
	})
	t.Run("a host that is lost goes back by its lease", func(t *testing.T) {
		r := newRig(t, freezingPlan())
		r.on["analysis"] = []Event{HostLost{Host: "web1", Err: errors.New("off")}}
		r.run(20).wantEnd(Paused, "web1 is lost", "left to the lease: web1")
		r.wantFreeze(true)
		r.wantTold(Park, "web2")
	})
	t.Run("a person's abort is none", func(t *testing.T) {
		r := newRig(t, freezingPlan()).run(2)
		r.send(Asked{Kind: AskAbort})
		r.run(5).wantEnd(Aborted)
		r.wantFreeze(false)
	})
}

func TestFreezeNeedsAStableThatRuns(t *testing.T) {
	t.Parallel()
	p := freezingPlan()
	p.Strategy = Recreate
	if _, err := New(p); err == nil {
		t.Error("a recreate that freezes is accepted")
	}
}
