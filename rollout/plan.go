package rollout

import (
	"errors"
	"fmt"

	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout/analysis"
)

// validate says what about the plan can not be carried out.
func (p Plan) validate() error {
	checks := []func() error{p.checkWords, p.checkHosts, p.checkTimes, p.checkSignals}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	switch {
	case p.oneByOne():
		return nil
	case p.Strategy == BlueGreen:
		return p.checkPreview()
	}
	if err := p.checkSteps("step", p.Steps, 0); err != nil {
		return err
	}
	return p.checkSteps("later step", p.LaterSteps, everything)
}

func (p Plan) checkWords() error {
	switch p.Strategy {
	case Canary, BlueGreen, Rolling, Recreate:
	default:
		return fmt.Errorf("strategy %q: want %s, %s, %s or %s", p.Strategy, Canary, BlueGreen, Rolling, Recreate)
	}
	switch p.OnInsufficient {
	case OnInsufficientPause, OnInsufficientExtend, OnInsufficientFail, OnInsufficientPromote:
	default:
		return fmt.Errorf("on insufficient data %q: want pause, extend, fail or promoteWithoutEvidence", p.OnInsufficient)
	}
	switch {
	case p.OnFailure != OnFailureRollback && p.OnFailure != OnFailurePause && p.OnFailure != OnFailureFreeze:
		return fmt.Errorf("on failure %q: want rollback, pause or freeze", p.OnFailure)
	case p.OnFailure == OnFailureFreeze && p.Strategy == Recreate:
		return errors.New("on failure freeze: recreate has no stable instance beside the new one that could take the traffic")
	}
	switch p.Scope {
	case ScopeFleet, ScopeBatch, ScopeHost:
		return nil
	}
	return fmt.Errorf("rollback scope %q: want fleet, batch or host", p.Scope)
}

func (p Plan) checkHosts() error {
	seen := map[string]bool{}
	for i, batch := range p.Batches {
		if len(batch) == 0 {
			return fmt.Errorf("batch %d has no hosts", i+1)
		}
		for _, h := range batch {
			if h == "" || seen[h] {
				return fmt.Errorf("batch %d: host %q is empty or named twice", i+1, h)
			}
			seen[h] = true
		}
	}
	if len(seen) == 0 {
		return errors.New("no hosts")
	}
	for h, first := range p.First {
		if first && !seen[h] {
			return fmt.Errorf("first deploy on %q, which is in no batch", h)
		}
	}
	return nil
}

func (p Plan) checkTimes() error {
	if p.Bake < 0 || p.ProgressDeadline < 0 || p.SettleTime < 0 {
		return errors.New("bake, progress deadline and settle time must not be negative")
	}
	if p.MaxParallel < 0 || p.MaxUnavailable < 0 || p.Budget < 0 || p.Spare < 0 {
		return errors.New("numbers of hosts must not be negative")
	}
	return nil
}

func (p Plan) checkSignals() error {
	seen := map[string]bool{}
	for _, s := range p.Signals {
		if s.Name == "" || seen[s.Name] {
			return fmt.Errorf("signal %q: empty or named twice", s.Name)
		}
		seen[s.Name] = true
		if err := s.Validate(); err != nil {
			return err
		}
		if n := len(p.Steps); n > 0 && s.StartingStep >= n && p.Strategy == Canary {
			return fmt.Errorf("signal %q: it starts with step %d, counted from 0, and there are %d", s.Name, s.StartingStep, n)
		}
	}
	return nil
}

// checkSteps looks at steps that begin where signals up to a starting step count.
func (p Plan) checkSteps(what string, steps []Step, reached int) error {
	var weight release.Weight
	for i, s := range steps {
		if err := p.checkStep(s, weight, max(i, reached)); err != nil {
			return fmt.Errorf("%s %d: %w", what, i+1, err)
		}
		if s.SetWeight != nil {
			weight = *s.SetWeight
		}
	}
	return nil
}

// checkPreview: before its promotion a blue-green has no traffic to judge.
func (p Plan) checkPreview() error {
	for i, s := range p.Steps {
		if err := p.checkStep(s, 0, everything); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		if s.Pause == nil {
			return fmt.Errorf("step %d: a blue-green only pauses before its promotion", i+1)
		}
	}
	return nil
}

func (p Plan) checkStep(s Step, weight release.Weight, reached int) error {
	set := 0
	for _, is := range []bool{s.SetWeight != nil, s.Pause != nil, s.Analysis} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return errors.New("want exactly one of setWeight, pause, analysis")
	case s.SetWeight != nil && (*s.SetWeight < 0 || *s.SetWeight > release.Full):
		return fmt.Errorf("weight %s: want 0 to 100", s.SetWeight)
	case s.Pause != nil && *s.Pause < 0:
		return errors.New("pause must not be negative")
	case s.Analysis && weight == 0:
		return errors.New("analysis without traffic: set a weight first")
	case s.Analysis && !p.judges(everything):
		return errors.New("analysis without a signal that decides")
	case s.Analysis && !p.judges(reached):
		return errors.New("analysis before the starting step of every signal that decides")
	}
	return nil
}

// oneByOne tells whether hosts are changed a few at a time, each at once.
func (p Plan) oneByOne() bool { return p.Strategy == Rolling || p.Strategy == Recreate }

// judges tells whether any signal decides once that starting step is reached.
func (p Plan) judges(reached int) bool {
	for _, s := range p.Signals {
		if !s.DryRun && s.StartingStep <= reached {
			return true
		}
	}
	return false
}

// withDefaults fills what may be left out.
func (p Plan) withDefaults() Plan {
	if p.OnInsufficient == "" {
		p.OnInsufficient = OnInsufficientPause
	}
	if p.OnFailure == "" {
		p.OnFailure = OnFailureRollback
	}
	if p.Scope == "" {
		p.Scope = ScopeFleet
	}
	if p.MinRequests == 0 {
		p.MinRequests = analysis.DefaultMinRequests
	}
	if p.MaxUnavailable == 0 {
		p.MaxUnavailable = 1
	}
	if p.LaterSteps == nil {
		p.LaterSteps = p.defaultLater()
	}
	return p
}

// defaultLater is the last weight below 100 and one analysis.
func (p Plan) defaultLater() []Step {
	for i := len(p.Steps) - 1; i >= 0; i-- {
		w := p.Steps[i].SetWeight
		if w == nil || *w == release.Full || *w == 0 {
			continue
		}
		later := []Step{{SetWeight: w}}
		if p.judges(everything) {
			later = append(later, Step{Analysis: true})
		}
		return later
	}
	return nil
}
