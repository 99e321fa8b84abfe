package rollout

import (
	"strings"
	"testing"
	"time"
)

// hints are the warnings that tell what a step waits for.
func (r *rig) hints() (out []string) {
	for _, c := range r.log {
		if n, ok := c.Note.(WarningNote); ok && strings.Contains(n.Text, "waits for a verdict") {
			out = append(out, n.Text)
		}
	}
	return out
}

// TestEarlyHint: a step that waits says so after half a minute, once, and not
// only when its patience is over.
func TestEarlyHint(t *testing.T) {
	p := canaryPlan()
	p.SettleTime = 6 * time.Minute
	r := newRig(t, p)
	r.rps = 0
	r.run(29)
	if got := r.hints(); len(got) != 0 {
		t.Errorf("too early: %q", got)
	}
	r.run(300).wantState(Running)
	got := r.hints()
	if len(got) != 1 || !strings.HasPrefix(got[0], "step 1/3 waits for a verdict, 5m30s more at most, then pause: no request has come to the new release yet") &&
		!strings.HasPrefix(got[0], "step 2/") {
		t.Errorf("%q", got)
	}
	r.run(60).wantState(Paused)

	r = newRig(t, p).run(100) // a good one has nothing to wait for
	r.wantEnd(Promoted)
	if got := r.hints(); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// TestLimitsThatNobodyCanHold: a host that does not tell what its canary uses
// is no success where there are limits.
func TestLimitsThatNobodyCanHold(t *testing.T) {
	p := canaryPlan()
	p.Limits = Limits{Memory: 1 << 20}
	r := newRig(t, p).run(100)
	r.wantState(Paused)
	v := r.verdicts()
	if v[0].Outcome != Inconclusive || !strings.Contains(v[0].Why, "web1 does not tell what its canary uses") {
		t.Errorf("%+v", v)
	}
	p.OnInsufficient = OnInsufficientFail
	newRig(t, p).run(100).wantEnd(RolledBack, "keeps analysis.limits")
}
