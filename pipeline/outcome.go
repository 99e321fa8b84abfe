package pipeline

import (
	"errors"
	"slices"
	"strings"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

const syncHint = "`shipper sync` brings them to where the fleet is, once they answer"

// result is what the engine's last command means for the caller.
func (d *driver) result(end rollout.Command, res Result) (Result, error) {
	res.State = end.State
	if d.refusedEverywhere() {
		res.State = rollout.Lost
		return res, problem.New(problem.Failed, "run `shipper status`, then deploy again",
			"the lease ran out while this controller was not heard; the hosts went back to stable by themselves")
	}
	before := res.Behind // where hosts are if this run has moved none
	res.Behind = d.behind(end)
	switch end.State {
	case rollout.Split:
	case rollout.Promoted:
		return res, leftBehind(res.Behind, "promoted on the others")
	default:
		res.Behind = union(res.Behind, before)
	}
	if end.Freeze {
		res.Freeze = end.Why
	}
	err := d.ended(end)
	if len(end.Behind) > 0 { // a host that was not seen to go back
		err = problem.New(problem.Behind, syncHint, "%s", err.What)
	}
	return res, err
}

// behind are the hosts that are not where the run ended.
func (d *driver) behind(end rollout.Command) []string {
	return union(end.Behind, d.task.missing)
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// ended is why a run did not promote its release.
func (d *driver) ended(end rollout.Command) *problem.Error {
	cause := d.problem()
	switch end.State {
	case rollout.RolledBack:
		return problem.New(problem.RolledBack, hintOf(cause, "`shipper logs --run "+d.run+"` shows what it said last, `shipper history` tells more; stable serves all traffic"), "rolled back: %s", end.Why)
	case rollout.Aborted:
		return problem.New(problem.Aborted, "", "aborted: %s", end.Why)
	case rollout.Paused:
		if end.Freeze {
			return problem.New(problem.Paused, "`shipper abort` ends it, `shipper promote` overrules the verdict; until then, or until `shipper lock release`, no other run may begin",
				"%s; stable serves all traffic%s", end.Why, d.task.noWayBack())
		}
		return problem.New(problem.Paused, "`shipper promote` goes on, `shipper abort` takes it back", "paused: %s", end.Why)
	case rollout.Split:
		return problem.New(problem.Behind, "`shipper resume` finishes the commit, `shipper rollback` takes the rest back", "split: %s", end.Why)
	}
	if cause != nil && cause.Kind != problem.Unreachable {
		return problem.Wrap(cause.Kind, errors.New(end.Why), "failed", cause.Hint)
	}
	return problem.New(problem.Failed, hintOf(cause, "`shipper logs` shows what the service said"), "failed: %s", end.Why)
}

func hintOf(p *problem.Error, otherwise string) string {
	if p != nil && p.Hint != "" {
		return p.Hint
	}
	return otherwise
}

// leftBehind is the error of a run that did all but some hosts.
func leftBehind(hosts []string, how string) error {
	if len(hosts) == 0 {
		return nil
	}
	return problem.New(problem.Behind, syncHint, "%s, left behind: %s", how, strings.Join(hosts, ", "))
}
