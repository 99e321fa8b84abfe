package rollout

import (
	"fmt"
	"slices"
	"strings"
)

// A host that fails for reasons of its own may be left behind: it goes back,
// the run goes on without it, and it is named until it was brought up to date.

// leaveBehind goes on without the hosts of a failure if the plan allows that
// many, and if of the batch that steps some host is left to tell whether the
// release is good.
func (e *Engine) leaveBehind(f failure) bool {
	if !f.own || e.phase != forward || e.committing() || e.stuck != nil || !e.affordable(f) {
		return false
	}
	for _, h := range f.hosts {
		m := e.hosts[h]
		m.behind, m.reason, m.trouble, m.through = true, f.why, f.why, false
		if m.started && !m.lost {
			e.dismiss(m, Command{Verb: Undo, State: RolledBack, Why: "left behind: " + f.why})
		} else {
			m.settled = true
		}
		e.usage.Forget(h)
		e.warn(h + " is left behind: " + f.why)
	}
	e.without()
	e.progress = e.now
	return true
}

// affordable counts what the plan allows: lost hosts first by what may be
// spared, the others by the budget.
func (e *Engine) affordable(f failure) bool {
	failed, lost := 0, 0
	left := map[int]int{}
	for _, h := range e.order {
		m := e.hosts[h]
		switch {
		case !m.behind && !slices.Contains(f.hosts, h):
			left[m.batch]++
		case m.lost:
			lost++
		default:
			failed++
		}
	}
	for _, h := range f.hosts {
		if left[e.hosts[h].batch] == 0 {
			return false
		}
	}
	return failed+max(0, lost-e.plan.Spare) <= e.plan.Budget
}

// without takes hosts that were left behind out of all that is still to come.
func (e *Engine) without() {
	for i := e.at; i < len(e.program); i++ {
		e.program[i].hosts = e.present(e.program[i].hosts)
	}
	if now := e.program[e.at]; now.batch > 0 {
		e.judge.Next(now.hosts)
		if e.judging {
			e.judge.Begin(e.now, e.weight)
		}
	}
}

func (e *Engine) present(hosts []string) []string {
	var out []string
	for _, h := range hosts {
		if !e.hosts[h].behind {
			out = append(out, h)
		}
	}
	return out
}

// behind lists the hosts that were left behind, and by names also why.
func (e *Engine) behind() (hosts []string, why string) {
	var out []string
	for _, h := range e.order {
		if m := e.hosts[h]; m.behind {
			hosts = append(hosts, h)
			out = append(out, fmt.Sprintf("%s (%s)", h, m.reason))
		}
	}
	if out == nil {
		return nil, ""
	}
	return hosts, "; left behind: " + strings.Join(out, ", ")
}

// feed gives the command of the present op to as many hosts at a time as the
// plan allows; what takes traffic, and what ends a run, knows no such limit.
func (e *Engine) feed() {
	if e.phase != forward || e.stuck != nil {
		return
	}
	o := e.program[e.at]
	busy := 0
	for _, h := range o.hosts {
		if e.hosts[h].pending.Verb == o.verb {
			busy++
		}
	}
	for _, h := range o.hosts {
		m := e.hosts[h]
		if m.settled || m.tries > 0 || o.waits() || e.limited(o) && busy >= e.plan.MaxParallel {
			continue
		}
		busy++
		e.give(m, Command{Verb: o.verb, Weight: o.weight, Behind: e.left(o)})
	}
}

func (e *Engine) limited(o op) bool {
	return e.plan.MaxParallel > 0 && (o.verb == Start || o.verb == Smoke)
}

// left is whom a commit names.
func (e *Engine) left(o op) []string {
	if o.verb != Commit {
		return nil
	}
	hosts, _ := e.behind()
	return hosts
}
