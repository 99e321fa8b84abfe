package rollout

import (
	"errors"
	"testing"
	"time"
)

// What went well until the traffic stopped is not proven by the silence.
func TestTrafficStopsHalfWay(t *testing.T) {
	t.Parallel()
	for on, want := range map[string]State{OnInsufficientPause: Paused, OnInsufficientFail: RolledBack, OnInsufficientExtend: RolledBack} {
		p := canaryPlan()
		p.Steps = []Step{percent(5), {Analysis: true}, percent(50), {Analysis: true}}
		p.OnInsufficient, p.MinRequests, p.SettleTime, p.ProgressDeadline = on, 10_000, 5*time.Minute, 10*time.Minute
		for i := range p.Signals {
			p.Signals[i].MinRequests = p.MinRequests
		}
		r := newRig(t, p)
		r.rps = 2000
		for r.run(1); r.end == nil && len(r.told(Shift)) < 3; r.run(1) {
		}
		r.rps = 0
		r.run(2000)
		if r.e.State() != want {
			t.Errorf("%s: the run is %s, want %s", on, r.e.State(), want)
		}
		r.wantTold(Commit)
	}
}

// A host that is gone at any stage before the commit takes the run back, and
// never leaves another host behind on the new release.
func TestAHostIsLostAtEachStage(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"start web2", "smoke web2", "setWeight 5%", "shift web2", "analysis", "prepare web2"} {
		r := newRig(t, canaryPlan())
		r.on[at] = []Event{HostLost{Host: "web2", Err: errors.New("off")}}
		r.run(300).wantEnd(RolledBack, "web2")
		r.wantTold(Commit)
		if got := r.told(Undo); len(got) == 0 || got[0] != "undo web1" {
			t.Errorf("lost at %s: told %v", at, got)
		}
	}
	r := newRig(t, canaryPlan())
	for _, h := range []string{"web1", "web2"} {
		r.on["analysis"] = append(r.on["analysis"], HostLost{Host: h, Err: errors.New("off")})
	}
	r.run(300).wantEnd(RolledBack, "left to the lease: web1", "web2")
}
