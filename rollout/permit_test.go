package rollout

import (
	"strings"
	"testing"
)

func permitPlan() Plan {
	p := canaryPlan()
	p.Batches, p.Permits = [][]string{{"web1"}, {"web2"}, {"web3"}}, true
	return p
}

func TestNextBatchNeedsAPermit(t *testing.T) {
	t.Parallel()
	asked := func(r *rig) (hosts []string) {
		for _, c := range r.log {
			if c.Verb == Permit {
				hosts = append(hosts, strings.Join(c.Hosts, "+"))
			}
		}
		return hosts
	}
	t.Run("asked before each but the first", func(t *testing.T) {
		r := newRig(t, permitPlan()).run(200)
		r.wantEnd(Promoted)
		if got := asked(r); strings.Join(got, " ") != "web2 web3" {
			t.Errorf("asked for %v", got)
		}
	})
	t.Run("refused: parked, and what has begun is off its traffic", func(t *testing.T) {
		r := newRig(t, permitPlan())
		r.fail["permit "] = 1
		r.run(200).wantEnd(Paused, "the next batch may not begin: broken", "batch 1/3")
		r.wantTold(Start, "web1")
		r.wantTold(Park, "web1")
	})
	t.Run("a late answer means nothing", func(t *testing.T) {
		r := newRig(t, permitPlan())
		r.mute["permit "] = true
		r.run(100).wantState(Running)
		r.send(Done{Command: Command{Verb: Permit, Seq: 1}})
		r.wantTold(Start, "web1")
		r.send(Asked{Kind: AskAbort})
		r.send(Done{Command: Command{Verb: Permit, Seq: r.e.permit}})
		r.run(5).wantEnd(Aborted)
	})
	t.Run("nor does a promote pass it", func(t *testing.T) {
		r := newRig(t, permitPlan())
		r.fail["permit "] = 1
		r.on["analysis"] = []Event{Asked{Kind: AskPromoteFull}}
		r.run(100).wantEnd(Paused, "may not begin")
	})
	t.Run("gone on with, it asks again", func(t *testing.T) {
		p := permitPlan()
		p.From = Position{Batch: 1, Step: 2}
		r := newRig(t, p)
		r.fail["permit "] = 1
		r.run(200).wantEnd(Paused, "may not begin")
		r.wantTold(Start, "web1")
	})
	t.Run("a recreate goes on", func(t *testing.T) {
		p := permitPlan()
		p.Strategy, p.Steps = Recreate, nil
		r := newRig(t, p)
		r.fail["permit "] = 1
		r.run(300).wantEnd(Promoted)
		if r.warnings() == 0 {
			t.Error("nothing is said")
		}
	})
}
