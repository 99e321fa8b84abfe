package pipeline

import (
	"fmt"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// fastTrack leaves steps, bake and analysis out where a deploy goes back to
// what every host held as stable a short while ago, the very revision, and did
// not reject: it is proven already. Smoke checks and hard rules stay.
func (d *deployment) fastTrack(plan *rollout.Plan, now map[string]rpc.ServiceStatus) {
	window := d.p.Target.Rollout.FastTrack
	if window == 0 || plan.From.Batch > 0 {
		return
	}
	var oldest time.Time
	for _, h := range d.f {
		at, ok := wasStable(now[h.Name], d.revision(h).ID())
		if !ok || d.p.Now().Sub(at) > window {
			return
		}
		if oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	plan.Steps, plan.LaterSteps, plan.Bake, plan.NoEvidence = nil, []rollout.Step{}, 0, true
	d.s.tell(journal.TypeVerdict, "", journal.Verdict{
		Outcome: string(rollout.Successful), Evidence: "fast track",
		Why: fmt.Sprintf("fast track: all hosts held %s as stable since %s or later, within %s: no steps, no analysis",
			d.b.Release(), oldest.UTC().Format(time.RFC3339), window),
	})
}

// wasStable is when a host committed a revision that it has left for another
// one since, and not for being bad.
func wasStable(st rpc.ServiceStatus, revision release.Digest) (time.Time, bool) {
	if st.Stable == "" || st.Slots[st.Stable].Revision == revision {
		return time.Time{}, false
	}
	for _, r := range st.Retained {
		if r.Revision == revision {
			return r.Committed, !r.Rejected && !r.Committed.IsZero()
		}
	}
	return time.Time{}, false
}
