package analysis

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-shipper/shipper/release"
)

const (
	// staleAfter without a look at a host its data counts as missing.
	staleAfter = 10 * time.Second
	// recentFactor times the needed requests make a recent window: large
	// enough to judge, small enough that a canary which turns bad after an
	// hour is not hidden by the good hour.
	recentFactor = 4
)

// Judge pools the looks at the hosts of one batch and judges them by its
// signals. Feed Observe as looks come, call Verdict as time passes, Begin with
// every change of weight, Reach with every step and Next with every batch; who
// never calls Reach has all signals count. It is not safe for concurrent use.
type Judge struct {
	signals []*gauge
	hosts   []string
	looks   differ
	seen    map[string]time.Time
	whole   window // since Begin
	streak  streak
	failed  *Verdict // stays until Begin

	questions int           // asked so far
	answers   []Measurement // since the last verdict
}

// gauge is a signal with its measurements since Begin.
type gauge struct {
	Signal
	success, failure condition
	evidence         *evidence // of that kind, else nil
	waits            bool      // its step is still to come
	whole, recent    window
	last             time.Time
	latest           Measurement
	taken            int // measurements
	failures         int
	unsure           int // inconclusive ones
	missing          int // errors in a row
	question         int // asked and not answered; 0: none
}

// NewJudge judges hosts by signals; minRequests holds for signals without
// their own, 0 is DefaultMinRequests.
func NewJudge(signals []Signal, minRequests int64, hosts []string) *Judge {
	j := &Judge{}
	j.Next(hosts)
	for _, s := range signals {
		if s.MinRequests == 0 {
			s.MinRequests = minRequests
		}
		if s.MinRequests == 0 {
			s.MinRequests = DefaultMinRequests
		}
		g := &gauge{Signal: s}
		g.success, _ = parseCondition(s.Success) // Validate tells
		g.failure, _ = parseCondition(s.Failure)
		if s.Kind == Evidence {
			g.evidence = newEvidence(s)
		}
		j.signals = append(j.signals, g)
	}
	return j
}

// Next goes on to the hosts of another batch. The evidence against the
// release goes with it: it is the same release.
func (j *Judge) Next(hosts []string) {
	j.hosts, j.looks, j.seen = slices.Clone(hosts), differ{}, map[string]time.Time{}
	for _, g := range j.signals {
		if g.evidence != nil {
			g.evidence.compareAll()
			clear(g.evidence.hosts)
		}
	}
}

// Forget drops all evidence: a person has overruled it.
func (j *Judge) Forget(now time.Time, w release.Weight) {
	for _, g := range j.signals {
		if g.evidence != nil {
			g.evidence.forget()
		}
	}
	j.Begin(now, w)
}

// Begin starts a step at a weight: it needs a proof of its own. Evidence
// against the release stays.
func (j *Judge) Begin(now time.Time, w release.Weight) {
	j.whole, j.streak, j.failed, j.answers = window{}, streak{}, nil, nil
	for _, g := range j.signals {
		g.anew(now)
		if g.evidence != nil {
			g.evidence.begin(w)
		}
	}
	for _, h := range j.hosts {
		j.seen[h] = now
	}
}

// Reach tells which step the run is at, from 0. A signal that starts with it
// begins anew: what was before does not count, but that the canary is warm and
// how long stable takes are still known.
func (j *Judge) Reach(now time.Time, step int) {
	for _, g := range j.signals {
		before := g.waits
		if g.waits = g.StartingStep > step; g.waits || !before {
			continue
		}
		g.anew(now)
		if g.evidence != nil {
			g.evidence.forget()
		}
	}
}

func (g *gauge) anew(now time.Time) {
	*g = gauge{Signal: g.Signal, success: g.success, failure: g.failure, evidence: g.evidence, waits: g.waits, last: now}
}

// Observe takes a look at a host of the batch.
func (j *Judge) Observe(now time.Time, host string, l Look) {
	canary, stable := j.looks.add(host, l)
	j.seen[host] = now
	j.whole.plus(canary, stable)
	j.streak.add(canary, stable)
	for _, g := range j.signals {
		if g.evidence != nil {
			g.evidence.observe(now, host, canary, stable)
		} else {
			g.whole.plus(canary, stable)
			g.recent.plus(canary, stable)
		}
	}
}

// Verdict measures the signals that are due and says what follows.
func (j *Judge) Verdict(now time.Time) Verdict {
	if j.failed != nil {
		v := *j.failed
		v.Measured = nil
		return v
	}
	v := j.measure(now)
	if v.Outcome == Failed {
		j.failed = &v
	}
	return v
}

func (j *Judge) measure(now time.Time) Verdict {
	v := Verdict{Requests: j.whole.canary.Requests}
	if why, dead := j.streak.dead(); dead {
		v.Outcome, v.Signal, v.Why = Failed, Errors, why
		return v
	}
	stale := j.stale(now)
	v.Measured, j.answers = j.answers, nil
	for _, g := range j.signals {
		if g.Kind != Asked && !g.waits && g.due(now) {
			v.Measured = append(v.Measured, g.measure(now, stale))
		}
	}
	j.sum(&v)
	return v
}

// sum puts the latest measurements together: the worst one speaks.
func (j *Judge) sum(v *Verdict) {
	v.Outcome, v.Why = Inconclusive, "no signal decides"
	rank := -1
	for _, g := range j.signals {
		if g.DryRun || g.waits {
			continue
		}
		outcome, why := g.stand()
		if r := slices.Index([]Outcome{Successful, Inconclusive, Errored, Failed}, outcome); r > rank {
			rank, v.Outcome, v.Signal, v.Why = r, outcome, g.Name, why
		}
		v.Over = v.Over || g.over() != ""
	}
}

// Again gives every signal its limits anew: a person wants it to go on waiting.
func (j *Judge) Again() {
	for _, g := range j.signals {
		g.unsure, g.missing = 0, 0
	}
}

// stale names the first host that has been silent for too long.
func (j *Judge) stale(now time.Time) string {
	for _, h := range j.hosts {
		if silent := now.Sub(j.seen[h]); silent > staleAfter {
			return fmt.Sprintf("no counters from %s for %s", h, silent.Round(time.Second))
		}
	}
	return ""
}

// due by the interval; a failure by evidence is told at once.
func (g *gauge) due(now time.Time) bool {
	if g.evidence != nil && g.evidence.broken != "" && g.latest.Outcome != Failed {
		return true
	}
	return now.Sub(g.last) >= g.Interval
}

// measure judges the whole step and, whenever it is full, the recent window.
func (g *gauge) measure(now time.Time, stale string) Measurement {
	m := g.judge(now, &g.whole)
	if g.recent.canary.Requests >= recentFactor*g.MinRequests {
		if r := g.judge(now, &g.recent); m.Outcome != Failed && r.Outcome == Failed {
			m = r
			m.Why += " of late"
		}
		g.recent = window{}
	}
	if stale != "" && m.Outcome != Failed {
		m.Outcome, m.Why = Errored, stale
	}
	g.last = now
	g.note(m)
	return m
}

// note counts a measurement by its outcome.
func (g *gauge) note(m Measurement) {
	g.latest = m
	g.taken++
	switch m.Outcome {
	case Failed:
		g.failures++
	case Inconclusive:
		g.unsure++
	}
	if g.missing++; m.Outcome != Errored {
		g.missing = 0
	}
}

// over says which limit forbids to wait any longer, if one does.
func (g *gauge) over() string {
	switch {
	case g.InconclusiveLimit != nil && g.unsure > *g.InconclusiveLimit:
		return fmt.Sprintf(" (inconclusive measurement %d, %d tolerated)", g.unsure, *g.InconclusiveLimit)
	case g.ErrorLimit != nil && g.missing > *g.ErrorLimit:
		return fmt.Sprintf(" (error %d in a row, %d tolerated)", g.missing, *g.ErrorLimit)
	}
	return ""
}

// stand is what the signal says now: failed measurements within the limit
// prove nothing in either direction.
func (g *gauge) stand() (Outcome, string) {
	over := g.over()
	switch {
	case g.latest.Outcome == "":
		return Inconclusive, g.Name + " is not measured yet"
	case g.failures > g.FailureLimit, g.latest.Outcome == Failed && g.evidence != nil:
		return Failed, g.latest.Why + g.tolerated()
	case over != "" && g.latest.Outcome == Errored:
		return Errored, g.latest.Why + over
	case over != "":
		return Inconclusive, g.latest.Why + over
	case g.latest.Outcome == Failed:
		return Inconclusive, fmt.Sprintf("%s (failed measurement %d, %d tolerated)", g.latest.Why, g.failures, g.FailureLimit)
	case g.latest.Outcome == Successful && g.taken < g.Count:
		return Inconclusive, fmt.Sprintf("%s (measurement %d of %d)", g.latest.Why, g.taken, g.Count)
	}
	return g.latest.Outcome, g.latest.Why
}

// tolerated explains a failure for which one bad value was not enough.
func (g *gauge) tolerated() string {
	if g.Kind != Asked || g.FailureLimit == 0 {
		return ""
	}
	return fmt.Sprintf(" (failed measurement %d, %d tolerated)", g.failures, g.FailureLimit)
}
