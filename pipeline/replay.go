package pipeline

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/rollout/analysis"
)

// Replay judges a recorded run again, by the signals of the configuration as
// it is now, and tells what each step would have come to.
func (p *Pipeline) Replay(ctx context.Context, run string) ([]journal.Replayed, error) {
	records, away, err := p.journals(ctx, run)
	switch {
	case err != nil:
		return nil, err
	case len(records) == 0 && away != nil:
		return nil, away
	case len(records) == 0:
		return nil, problem.New(problem.Failed, "`shipper history` lists the runs that the hosts remember", "run %s is not known on any host", run)
	}
	if !slices.ContainsFunc(records, func(r journal.Record) bool { return r.Type == journal.TypeLook }) {
		return nil, problem.New(problem.Failed, "`shipper history` lists runs; rollbacks and older runs have no counters in their journals",
			"run %s can not be judged again: its journal has no counters", run)
	}
	return p.replay(records)
}

// replayer feeds a judge from a journal.
type replayer struct {
	judge   *analysis.Judge
	hosts   []string
	totals  map[string]analysis.Look
	weight  release.Weight
	step    string
	traffic time.Time // first weight above 0
	out     []journal.Replayed
	over    bool // failed: a run ends there
	steps   int  // of the first batch, by the configuration
	all     bool // a hotfix: signals count from its beginning
	reached int  // signals with a later starting step do not count yet
}

func (p *Pipeline) replay(records []journal.Record) ([]journal.Replayed, error) {
	var own []rollout.Signal
	for _, s := range signals(p.Target.Analysis) {
		if err := s.Validate(); err != nil {
			return nil, planProblem(err)
		}
		if s.Kind != analysis.Asked { // nobody knows what they would have answered
			own = append(own, s)
		}
	}
	r := &replayer{totals: map[string]analysis.Look{}, steps: len(p.Target.Rollout.Steps)}
	for _, rec := range records {
		if rec.Type == journal.TypeLook && !slices.Contains(r.hosts, rec.Host) {
			r.hosts = append(r.hosts, rec.Host)
		}
	}
	r.judge = analysis.NewJudge(own, p.Target.Analysis.MinRequests, r.hosts)
	for _, rec := range records {
		if err := r.read(rec); err != nil {
			return nil, err
		}
	}
	return r.out, nil
}

func (r *replayer) read(rec journal.Record) error {
	switch rec.Type {
	case journal.TypeRunStarted:
		var s journal.RunStarted
		if err := decode(rec, &s); err != nil {
			return err
		}
		r.all = s.Hotfix
	case journal.TypeStep:
		var s journal.StepBegan
		if err := decode(rec, &s); err != nil {
			return err
		}
		r.step = fmt.Sprintf("step %d/%d %s", s.Step, s.Steps, s.What)
		if s.Batches > 1 {
			r.step = fmt.Sprintf("batch %d/%d %s", s.Batch, s.Batches, r.step)
		}
		r.reach(rec.Time, s)
	case journal.TypeWeight:
		var w journal.WeightSet
		if err := decode(rec, &w); err != nil {
			return err
		}
		r.shift(rec.Time, w.Weight)
	case journal.TypeLook:
		var l journal.Look
		if err := decode(rec, &l); err != nil {
			return err
		}
		r.look(rec, l)
	}
	return nil
}

// reach tells the judge where the run is; a step that shifts begins when that
// is done. Behind the steps of the first batch, and where a run took none of
// them, everything counts.
func (r *replayer) reach(now time.Time, s journal.StepBegan) {
	r.reached = math.MaxInt
	if bake := strings.HasPrefix(s.What, "bake"); !r.all && !bake && s.Batch == 1 && s.Step <= r.steps && r.steps <= s.Steps {
		r.reached = s.Step - 1
	}
	if strings.HasPrefix(s.What, "pause") || s.What == "analysis" {
		r.judge.Reach(now, r.reached)
	}
}

// shift begins a step at another weight; all hosts of a batch tell the same.
func (r *replayer) shift(now time.Time, w release.Weight) {
	if w == r.weight {
		return
	}
	r.weight = w
	if w > 0 && r.traffic.IsZero() {
		r.traffic = now
	}
	r.judge.Reach(now, r.reached)
	r.judge.Begin(now, w)
}

func (r *replayer) look(rec journal.Record, l journal.Look) {
	t := r.totals[rec.Host]
	t = analysis.Look{Epoch: "replay", Canary: added(t.Canary, l.Canary), Stable: added(t.Stable, l.Stable)}
	r.totals[rec.Host] = t
	if r.over {
		return
	}
	r.judge.Observe(rec.Time, rec.Host, t)
	if r.weight == 0 {
		return
	}
	v := r.judge.Verdict(rec.Time)
	r.over = v.Outcome == analysis.Failed
	r.tell(journal.Replayed{Step: r.step, Signal: v.Signal, Outcome: string(v.Outcome), Why: v.Why, Elapsed: rec.Time.Sub(r.traffic).Seconds()})
}

// tell keeps the last verdict of each step.
func (r *replayer) tell(v journal.Replayed) {
	if n := len(r.out); n > 0 && r.out[n-1].Step == v.Step {
		r.out[n-1] = v
		return
	}
	r.out = append(r.out, v)
}
