package pipeline

import (
	"cmp"
	"slices"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// plan turns the configuration into what the engine is to do; first names the
// hosts without a stable slot.
func plan(t config.Target, first map[string]bool) rollout.Plan {
	return rollout.Plan{
		Strategy:         t.Rollout.Strategy,
		Batches:          t.Batches(),
		Steps:            steps(t.Rollout.Steps),
		LaterSteps:       steps(t.Rollout.LaterSteps),
		First:            first,
		MaxParallel:      t.Rollout.MaxParallel.Of(len(t.Hosts)),
		MaxUnavailable:   t.Rollout.MaxUnavailable.Of(len(t.Hosts)),
		Budget:           t.Rollout.FailureBudget.Of(len(t.Hosts)),
		Bake:             t.Rollout.Bake,
		ProgressDeadline: t.Rollout.ProgressDeadline,
		SettleTime:       t.Analysis.MaxWait,
		Signals:          signals(t.Analysis),
		MinRequests:      t.Analysis.MinRequests,
		Limits:           rollout.Limits{CPU: t.Analysis.Limits.CPU, Memory: t.Analysis.Limits.WorkingSetMB << 20, Handles: t.Analysis.Limits.Handles},
		OnInsufficient:   t.Analysis.OnInsufficientData,
		Permits:          true,
		OnFailure:        onFailure(t),
		Scope:            t.Rollback.Scope,
	}
}

// onFailure is what a bad verdict means; auto: false is the older word for
// pause.
func onFailure(t config.Target) string {
	back := t.Rollback.OnFailure == "" || t.Rollback.OnFailure == config.OnFailureRollback
	switch {
	case back && (!t.Rollback.Auto || t.Rollback.Irreversible && t.Rollout.Strategy == rollout.Recreate):
		return rollout.OnFailurePause
	case back && t.Rollback.Irreversible:
		return rollout.OnFailureFreeze
	}
	return cmp.Or(t.Rollback.OnFailure, rollout.OnFailureRollback)
}

// hotfix gives a plan the steps of a hotfix, with which all signals count from
// the beginning.
func hotfix(pl *rollout.Plan, r config.Rollout) {
	pl.Steps = hotfixSteps(r)
	for i := range pl.Signals {
		pl.Signals[i].StartingStep = 0
	}
}

// hotfixSteps are the steps of a hotfix; smoke checks and rollback stay.
func hotfixSteps(r config.Rollout) []rollout.Step {
	if r.HotfixSteps != nil {
		return steps(r.HotfixSteps)
	}
	if r.LaterSteps != nil {
		return steps(r.LaterSteps)
	}
	var last []rollout.Step
	for _, s := range r.Steps {
		if s.SetWeight != nil && *s.SetWeight < release.Full {
			last = []rollout.Step{{SetWeight: s.SetWeight}, {Analysis: true}}
		}
	}
	return last
}

// only keeps the hosts named, in their batches: the others are where they
// should be.
func only(batches [][]string, names []string) [][]string {
	var out [][]string
	for _, b := range batches {
		var left []string
		for _, name := range b {
			if slices.Contains(names, name) {
				left = append(left, name)
			}
		}
		if len(left) > 0 {
			out = append(out, left)
		}
	}
	return out
}

func steps(in []config.Step) []rollout.Step {
	var out []rollout.Step
	for _, s := range in {
		out = append(out, rollout.Step{SetWeight: s.SetWeight, Pause: s.Pause, Analysis: s.Analysis})
	}
	return out
}

func signals(a config.Analysis) []rollout.Signal {
	var out []rollout.Signal
	for _, s := range a.Signals {
		r := rollout.Signal{
			Name: s.Name, Interval: s.Interval, FailureLimit: s.FailureLimit,
			MinRequests: s.MinRequests, DryRun: s.DryRun,
			InconclusiveLimit: s.InconclusiveLimit, ErrorLimit: s.ConsecutiveErrorLimit, StartingStep: a.StartsWith(s),
		}
		switch {
		case s.Evidence != nil:
			r.Kind, r.Alpha, r.MaxRatio = "evidence", a.Alpha, s.Evidence.MaxErrors
			r.Margin, r.Tolerance = s.Evidence.Margin, s.Evidence.Tolerance
		case s.Errors != nil:
			r.Kind, r.MaxRatio, r.MaxDelta = "errors", s.Errors.Max, s.Errors.Above
		case s.Latency != nil:
			r.Kind, r.Percentile = "latency", s.Latency.Percentile
			r.MaxLatency, r.MaxFactor = s.Latency.Max, s.Latency.Factor
		case s.Asks():
			r.Kind, r.Success, r.Failure, r.Count = "asked", s.Success, s.Failure, s.Count
		}
		out = append(out, r)
	}
	return out
}
