package rollout

import (
	"strings"
	"testing"
	"time"
)

func evidencePlan() Plan {
	p := canaryPlan()
	p.Signals = []Signal{{Name: "evidence", Kind: "evidence", Interval: 5 * time.Second}}
	p.SettleTime = 2 * time.Minute
	return p
}

func TestEvidenceLetsAGoodCanaryThrough(t *testing.T) {
	p := evidencePlan()
	p.Batches = [][]string{{"a"}, {"b"}}
	p.Bake = 5 * time.Second
	r := newRig(t, p).run(300)
	r.wantEnd(Promoted)
	r.wantTold(Shift, "a 5%", "a 95%", "a 100%", "b 5%", "b 95%", "b 100%")
	if strings.Contains(r.end.Why, "evidence") {
		t.Errorf("why %q, but there was evidence", r.end.Why)
	}
}

func TestEvidenceTakesABadCanaryBack(t *testing.T) {
	r := newRig(t, evidencePlan())
	r.errors = func(string) int64 { return 40 }
	r.run(100).wantEnd(RolledBack, "errors canary 40 % (4/10) vs stable 0 % (0/190): evidence ", ":1 that the canary is worse, abort at 1000:1 → Failed at step 2/3, 2 s after first traffic")
	r.wantTold(Undo, "web1", "web2")
}

// TestEvidenceRemembers: what was seen at one weight and in one batch counts
// at the next: it is the same release.
func TestEvidenceRemembers(t *testing.T) {
	p := evidencePlan()
	p.Batches = [][]string{{"a"}, {"b"}}
	r := newRig(t, p)
	r.errors = func(h string) int64 {
		if h == "b" && r.looks["b"].weight > 0 {
			return 40
		}
		return 0
	}
	r.run(300).wantEnd(RolledBack, "at batch 2/2 step 2/3")
	r.wantTold(Undo, "a", "b")
}

func TestThinTrafficIsNoEvidence(t *testing.T) {
	r := newRig(t, evidencePlan())
	r.rps = 20 // one request a second to each canary
	r.run(200).wantState(Paused)
	if v := r.verdicts(); len(v) == 0 || !strings.Contains(v[0].Why, "that less than 1 % fails, enough at 20:1") {
		t.Errorf("verdicts %+v", v)
	}
}

// TestOverruledEvidence: who overrules a verdict begins anew.
func TestOverruledEvidence(t *testing.T) {
	p := evidencePlan()
	p.OnFailure = OnFailurePause
	r := newRig(t, p)
	bad := true
	r.errors = func(string) int64 {
		if bad {
			return 40
		}
		return 0
	}
	r.run(20).wantState(Paused)
	bad = false
	r.send(Asked{Kind: AskPromote, By: "ann"})
	r.run(200).wantEnd(Promoted, "evidence: none")
}
