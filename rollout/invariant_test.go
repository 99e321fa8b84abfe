package rollout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-shipper/shipper/release"
)

// outcome watches everything that goes into and comes out of an engine, and
// remembers the first promise that was broken.
type outcome struct {
	plan     Plan
	hosts    map[string]*told
	order    []string
	failed   bool // a failed verdict, and nobody overruled it
	commits  bool
	at       Position // the step noted last
	behind   []string // named by commits, and by the end
	finished State
	why      string
	err      error
	log      []string
}

// told is what one host was told, and answered.
type told struct {
	open                                 map[int]Command
	started, smoked, prepared, committed bool
	commitTold, undone, parked, undoTold bool
	lost                                 bool
	startTold                            bool
	weight                               release.Weight
	answeredWeight                       release.Weight
	seen                                 map[int]bool
}

func newOutcome(p Plan) *outcome {
	o := &outcome{plan: p, hosts: map[string]*told{}}
	for _, b := range p.Batches {
		for _, h := range b {
			o.order = append(o.order, h)
			o.hosts[h] = &told{open: map[int]Command{}, seen: map[int]bool{}}
		}
	}
	return o
}

func (o *outcome) breaks(format string, args ...any) {
	if o.err == nil {
		o.err = fmt.Errorf(format, args...)
	}
}

func (o *outcome) event(ev Event) {
	switch ev := ev.(type) {
	case Done:
		o.log = append(o.log, fmt.Sprintf("← done %s %s #%d %v", ev.Command.Verb, ev.Command.Host, ev.Command.Seq, ev.Err))
		o.answered(ev)
	case HostLost:
		o.hosts[ev.Host].lost = true
		o.log = append(o.log, "← lost "+ev.Host)
	case Asked:
		o.log = append(o.log, "← asked "+ev.Kind)
		if ev.Kind == AskPromote || ev.Kind == AskPromoteFull {
			o.failed = false
		}
	case Interrupted:
		o.log = append(o.log, "← interrupted")
	}
}

func (o *outcome) answered(ev Done) {
	h := o.hosts[ev.Command.Host]
	delete(h.open, ev.Command.Seq)
	if ev.Err != nil {
		return
	}
	switch ev.Command.Verb {
	case Start:
		h.started = true
	case Smoke:
		h.smoked = true
	case Shift:
		h.answeredWeight = ev.Command.Weight
	case Prepare:
		h.prepared = true
	case Commit:
		h.committed = true
	case Undo:
		h.undone = true
	case Park:
		h.parked = true
	}
}

func (o *outcome) command(c Command) {
	if c.Verb != Wake {
		o.log = append(o.log, fmt.Sprintf("→ %s %s #%d %s %s %s %+v", c.Verb, c.Host, c.Seq, c.Weight, c.State, c.Why, c.Note))
	}
	if o.finished != "" {
		o.breaks("%s after finish", c.Verb)
	}
	if n, ok := c.Note.(VerdictNote); ok && n.Outcome == FailedSignal {
		o.failed = true
	}
	if n, ok := c.Note.(MeasurementNote); ok {
		o.measures(n)
	}
	if n, ok := c.Note.(StepNote); ok {
		o.at = Position{Batch: n.Batch, Step: n.Step}
	}
	if c.Verb == Finish {
		o.finished, o.why, o.behind = c.State, c.Why, c.Behind
	}
	if c.Host != "" {
		o.toHost(c, o.hosts[c.Host])
	}
}

// measures: no signal is judged before the step with which it starts.
func (o *outcome) measures(n MeasurementNote) {
	stages := o.plan.withDefaults().stages()
	for _, s := range o.plan.Signals {
		if early := o.at.Batch == 1 && o.at.Step-1 < min(s.StartingStep, len(stages[0].steps)); early && s.Name == n.Signal {
			o.breaks("%s is judged in step %d, it starts with step %d", s.Name, o.at.Step, s.StartingStep+1)
		}
	}
}

func (o *outcome) toHost(c Command, h *told) {
	if c.Verb == Watch || c.Verb == Unwatch {
		return
	}
	if h.seen[c.Seq] {
		o.breaks("%s on %s reuses number %d", c.Verb, c.Host, c.Seq)
	}
	h.seen[c.Seq] = true
	if len(h.open) > 0 && c.Verb != Undo && c.Verb != Park {
		o.breaks("%s on %s while another command is under way", c.Verb, c.Host)
	}
	h.open[c.Seq] = c
	switch c.Verb {
	case Start:
		o.starts(c, h)
	case Shift:
		o.shifts(c, h)
	case Prepare:
		if h.weight != release.Full {
			o.breaks("prepare on %s at %s", c.Host, h.weight)
		}
	case Commit:
		o.commitsHost(c, h)
	case Undo, Park:
		if c.Verb == Park && o.plan.Strategy == Recreate {
			o.breaks("%s is parked, but its old instance is stopped", c.Host)
		}
		if o.commits && !slices.Contains(o.behind, c.Host) {
			o.breaks("%s on %s after a commit", c.Verb, c.Host)
		}
		h.undoTold = true
	}
}

func (o *outcome) shifts(c Command, h *told) {
	switch {
	case c.Weight < 0 || c.Weight > release.Full:
		o.breaks("shift %s to %d", c.Host, c.Weight)
	case c.Weight > 0 && !h.smoked:
		o.breaks("shift %s to %s before its smoke passed", c.Host, c.Weight)
	case c.Weight != release.Full && (o.plan.Strategy == Rolling || o.plan.Strategy == Recreate):
		o.breaks("shift %s to %s in a %s", c.Host, c.Weight, o.plan.Strategy)
	case c.Weight > h.weight && o.failed:
		o.breaks("shift %s up to %s after a failed verdict", c.Host, c.Weight)
	case h.undoTold:
		o.breaks("shift %s after it was told to go back", c.Host)
	}
	h.weight = c.Weight
}

// starts: no more hosts are worked on, and out of service, than the plan allows.
func (o *outcome) starts(c Command, h *told) {
	h.startTold = true
	busy, between := 0, 0
	for _, name := range o.order {
		other := o.hosts[name]
		if other.undoTold || other.lost {
			continue
		}
		for _, open := range other.open {
			if open.Verb == Start || open.Verb == Smoke {
				busy++
			}
		}
		if other.startTold && other.answeredWeight != release.Full {
			between++
		}
	}
	if limit := o.plan.MaxParallel; limit > 0 && busy > limit {
		o.breaks("start on %s is one of %d at a time, %d are allowed", c.Host, busy, limit)
	}
	if s := o.plan.Strategy; (s == Rolling || s == Recreate) && between > max(o.plan.MaxUnavailable, 1) {
		o.breaks("start on %s: %d hosts are changed at a time", c.Host, between)
	}
}

// commitsHost: all hosts that are not on their way back must be prepared, and
// those that were left behind are named.
func (o *outcome) commitsHost(c Command, h *told) {
	o.commits, h.commitTold, o.behind = true, true, c.Behind
	o.affords(c.Behind)
	for _, name := range o.order {
		other := o.hosts[name]
		out := other.undone || slices.Contains(c.Behind, name)
		if !other.prepared && !out && (o.plan.Scope == ScopeFleet || other.weight == release.Full && !other.undoTold && !other.lost) {
			o.breaks("commit on %s while %s is not prepared", c.Host, name)
		}
	}
}

// affords: no more hosts are left behind than the plan allows.
func (o *outcome) affords(behind []string) {
	lost := 0
	for _, name := range behind {
		if o.hosts[name].lost {
			lost++
		}
	}
	if len(behind)-lost+max(0, lost-o.plan.Spare) > o.plan.Budget {
		o.breaks("left behind are %v (%d of them lost), allowed are %d and %d lost", behind, lost, o.plan.Budget, o.plan.Spare)
	}
}

// verdict looks at the end of the run.
func (o *outcome) verdict() error {
	if o.finished == "" {
		o.breaks("no finish")
	}
	for _, name := range o.order {
		h := o.hosts[name]
		touched := len(h.seen) > 0
		switch {
		case h.committed && h.undone:
			o.breaks("%s is committed and undone", name)
		case h.committed && o.finished == Promoted && slices.Contains(o.behind, name):
			o.breaks("%s is committed, and behind", name)
		case o.finished == Promoted && !h.committed && !slices.Contains(o.behind, name):
			o.breaks("promoted without %s", name)
		case o.finished == Promoted && !h.committed && touched && !h.undone && !strings.Contains(o.why, name):
			o.breaks("%s is left behind, but neither undone nor named", name)
		case o.finished == Paused && touched && !h.parked && !h.undone && !strings.Contains(o.why, name):
			o.breaks("paused, but %s is not parked", name)
		case o.back() && h.commitTold:
			o.breaks("%s, but %s was told to commit", o.finished, name)
		case o.finished == Paused && touched && h.parked && h.undone:
			o.breaks("%s is parked and undone", name)
		case o.back() && touched && !h.undone && !(slices.Contains(o.behind, name) && strings.Contains(o.why, name)):
			o.breaks("%s, but %s is not undone and not named", o.finished, name)
		case o.finished == Split && !h.committed && !strings.Contains(o.why, name):
			o.breaks("split, but %s is not named", name)
		}
	}
	return o.err
}

func (o *outcome) back() bool {
	return o.finished == RolledBack || o.finished == Aborted || o.finished == Failed
}

func (o *outcome) story() string { return strings.Join(o.log, "\n") }
