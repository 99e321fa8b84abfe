package pipeline

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// A release may be irreversible: it changes something for good that the one
// before needs, a database mostly. There is no way back behind it but by a
// person's word, which is recorded.

// warnIrreversible says aloud what a failure of this run will not do.
func (p *Pipeline) warnIrreversible(s *story, plan rollout.Plan) {
	if p.Target.Rollback.Irreversible {
		s.note(journal.TypeWarning, "", "IRREVERSIBLE: nothing is taken back automatically; a failure means "+plan.OnFailure+", and after the commit rollback refuses")
	}
}

// noWayBack ends the sentence about a failed run.
func (t task) noWayBack() string {
	if !t.irreversible {
		return ""
	}
	return "; IRREVERSIBLE: it was not taken back; `shipper lock release` lets a release begin that mends it"
}

// mayGoBehind refuses a rollback behind an irreversible release that no person
// gave a reason for, and records the reason.
func mayGoBehind(s *story, hosts []HostStatus, d rollout.Decision, req RollbackRequest) error {
	k, ok := rollout.Barrier(views(hosts), d)
	switch {
	case !ok:
		return nil
	case req.Override == "":
		return problem.New(problem.Failed, "deploy a release that mends it; or, if you know that the old one works: --override-irreversible REASON",
			"roll back: %s is irreversible: there is no way back behind it", k.Release)
	}
	s.note(journal.TypeWarning, "", "IRREVERSIBLE: goes back behind "+k.Release.String()+" all the same: "+req.Override)
	return nil
}

// heldBack says why a committed release that turned bad is not taken back;
// empty: it is.
func (p *Pipeline) heldBack(hosts []HostStatus) string {
	for _, h := range hosts {
		for _, k := range h.Status.Retained {
			if k.Irreversible && k.Revision == h.Status.Slots[h.Status.Stable].Revision {
				return "IRREVERSIBLE"
			}
		}
	}
	if how := onFailure(p.Target); how != rollout.OnFailureRollback {
		return "onFailure: " + how
	}
	return ""
}

// standStill leaves a bad release to a person; with a freeze nothing else
// begins meanwhile.
func (p *Pipeline) standStill(ctx context.Context, res Result, why, held string) (Result, error) {
	err := problem.New(problem.Failed, "`shipper rollback` takes it back; `shipper deploy` releases what mends it", "bad: %s; not taken back: %s", why, held)
	if held != "onFailure: "+rollout.OnFailurePause {
		err.Hint += ", after `shipper lock release`"
		res.Freeze = why
		if locked := p.lockAll(ctx, "freeze", "watch: "+why); locked != nil {
			return res, errors.Join(err, locked)
		}
	}
	return res, err
}

// onlyForward refuses an older version where some host runs an irreversible one.
func onlyForward(r release.Release, before map[string]rpc.ServiceStatus) error {
	for _, host := range slices.Sorted(maps.Keys(before)) {
		st := before[host]
		for _, k := range st.Retained {
			if k.Irreversible && !k.Rejected && packaging.Backwards(k.Release.Version, r.Version) {
				return problem.New(problem.Usage, "release forward; or, if you know that the old one works: shipper rollback --override-irreversible REASON",
					"deploy %s: %s is irreversible on %s: there is no way back behind it", r, k.Release, host)
			}
		}
	}
	return nil
}
