package rollout

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-shipper/shipper/rollout/analysis"
)

// done takes the answer to a command; answers to commands that an undo or a
// park has overtaken mean nothing any more.
func (e *Engine) done(ev Done) {
	if ev.Command.Verb == Permit {
		e.answerPermit(ev)
		return
	}
	m := e.hosts[ev.Command.Host]
	if m == nil || m.pending.Verb == "" || m.pending.Seq != ev.Command.Seq {
		return
	}
	c := m.pending
	m.pending = Command{}
	switch {
	case m.behind && c.Verb != Undo: // the answer to what its undo has cancelled
	case e.phase == undoing && c.Verb != Undo:
		m.settled = true // of a host that is kept: it is asked again
	case ev.Err == nil:
		e.succeed(m, c)
	case c.Verb == Commit || c.Verb == Undo || c.Verb == Park:
		e.again(m, ev.Err)
	default:
		e.fail(failure{why: fmt.Sprintf("%s on %s: %v", c.task(), m.name, ev.Err), hosts: []string{m.name}, own: true})
	}
}

// answerPermit begins the next batch, or parks the run before it. Instances
// that are alone can not be parked: stopping half-way would leave nothing to
// go back to but what is stopped.
func (e *Engine) answerPermit(ev Done) {
	switch {
	case ev.Command.Seq != e.permit || e.phase != forward || !e.program[e.at].permit:
	case ev.Err == nil:
		e.permitted, e.progress = true, e.now
	case e.plan.Strategy == Recreate:
		e.permitted = true
		e.warn(fmt.Sprintf("goes on all the same, because instances that are alone can not be parked: %v", ev.Err))
	default:
		e.closed = fmt.Sprintf("the next batch may not begin: %v", ev.Err)
		e.note(PauseNote{Why: e.pauseReason()})
		e.park()
	}
}

// task is the command for people.
func (c Command) task() string {
	if c.Verb == Shift {
		return "shift to " + c.Weight.String()
	}
	return string(c.Verb)
}

func (e *Engine) succeed(m *member, c Command) {
	m.settled, m.trouble = true, ""
	e.progress = e.now
	switch c.Verb {
	case Start:
		m.live = true
		e.out = append(e.out, Command{Verb: Watch, Host: m.name})
	case Commit:
		m.committed = true
	case Undo:
		m.back = true
	}
}

// again schedules another attempt, or gives the host up.
func (e *Engine) again(m *member, err error) {
	m.trouble = err.Error()
	if m.tries >= attempts {
		m.settled = true
		return
	}
	m.retryAt = e.now.Add(retryAfter)
	e.wake(m.retryAt)
}

// retry repeats what is due for another attempt.
func (e *Engine) retry() {
	for _, h := range e.order {
		if m := e.hosts[h]; !m.retryAt.IsZero() && !e.now.Before(m.retryAt) {
			e.give(m, m.last)
		}
	}
}

// lose takes the news that a host is gone. In the commit round it is asked
// again like one that failed: what it promised it may already have done.
func (e *Engine) lose(ev HostLost) {
	m := e.hosts[ev.Host]
	if m == nil || m.lost {
		return
	}
	m.lost, m.trouble = true, fmt.Sprintf("lost: %v", ev.Err)
	switch {
	case m.behind:
		m.settled, m.pending, m.retryAt = true, Command{}, time.Time{}
	case e.committing():
	case e.phase == undoing || e.phase == parking:
		m.settled, m.pending = true, Command{}
	default:
		m.pending = Command{}
		e.fail(failure{why: fmt.Sprintf("%s is lost: %v", m.name, ev.Err), hosts: []string{m.name}, own: true})
	}
}

// watchdog ends what does not move any more.
func (e *Engine) watchdog() {
	limit := e.plan.ProgressDeadline
	if limit == 0 || e.phase == waiting || e.stuck != nil || e.now.Sub(e.progress) <= limit {
		return
	}
	if e.phase != forward || e.committing() {
		e.giveUp(fmt.Sprintf("no answer for %s", brief(limit)))
		return
	}
	o := e.program[e.at]
	switch {
	case !o.waits() && !e.allSettled(o.hosts):
		open := e.open(o.hosts)
		e.fail(failure{why: fmt.Sprintf("no progress for %s: %s not done on %s", brief(limit), o.verb, strings.Join(open, ", ")), hosts: open, own: true})
	case o.gate && !e.starved && !e.held && e.now.Sub(e.entered) > e.plan.SettleTime:
		e.fail(failure{why: fmt.Sprintf("no conclusive verdict for %s: %s", brief(limit), e.verdict.Why), judged: true, hosts: o.hosts})
	}
}

func (e *Engine) giveUp(why string) {
	for _, h := range e.open(e.order) {
		m := e.hosts[h]
		m.settled, m.pending, m.trouble = true, Command{}, why
	}
}

// open lists the hosts that the present phase still waits for.
func (e *Engine) open(hosts []string) []string {
	var out []string
	for _, h := range hosts {
		if !e.hosts[h].settled {
			out = append(out, h)
		}
	}
	return out
}

// counted takes a look at a host whose new slot runs.
func (e *Engine) counted(ev Counted) {
	m := e.hosts[ev.Host]
	if m == nil || !m.live || m.lost || m.behind || e.phase != forward || e.committing() {
		return
	}
	look := analysis.Look{Epoch: ev.Epoch, Canary: ev.Canary, Stable: ev.Stable, Live: ev.Live}
	if m.batch == e.program[e.at].batch {
		e.judge.Observe(e.now, m.name, look)
	}
	why, broken := e.hard.Observe(m.name, look)
	if !broken {
		why, broken = e.usage.Observe(e.now, m.name, ev.Usage)
	}
	if broken && (e.stuck == nil || e.stuck.judged) {
		e.fail(failure{why: why, hosts: []string{m.name}})
	}
}

// judgeNow measures what is due while the batch that steps has traffic.
func (e *Engine) judgeNow() {
	if e.phase != forward || !e.judging || e.stuck != nil {
		return
	}
	for _, q := range e.judge.Ask(e.now) {
		e.out = append(e.out, Command{Verb: Measure, Signal: q.Signal, Seq: q.Number})
	}
	v := e.judge.Verdict(e.now)
	if why := e.usage.Untold(e.now); why != "" && v.Outcome == Successful {
		v.Outcome, v.Signal, v.Why = Inconclusive, "limits", why
	}
	e.verdict = v
	e.hint()
	for _, m := range v.Measured {
		e.note(MeasurementNote(m))
	}
	if v.Outcome == FailedSignal {
		e.fail(failure{why: v.Why, signal: v.Signal, judged: true, hosts: e.program[e.at].hosts})
	}
}

// hint tells early what a step waits for, once.
func (e *Engine) hint() {
	o := e.program[e.at]
	idle := e.verdict.Requests == 0 || e.verdict.Signal == "limits"
	if !e.plan.judges(o.reached) {
		return
	}
	if e.hinted || !o.waits() || !o.gate && !idle || e.paused() || e.verdict.Outcome == Successful || e.now.Sub(e.entered) < hintAfter {
		return
	}
	left := e.plan.patience()
	if o.gate {
		left -= e.now.Sub(e.entered)
	}
	if left <= 0 {
		return
	}
	e.hinted = true
	what := e.verdict.Why
	if e.verdict.Requests == 0 {
		what = "no request has come to the new release yet: is there any traffic on the public address? " + what
	}
	e.warn(fmt.Sprintf("%s waits for a verdict, %s more at most, then %s: %s", e.place(), brief(left.Round(time.Second)), e.plan.OnInsufficient, what))
}

// gate tells whether the evidence suffices to go on, and after SettleTime
// does what the plan wants where it does not.
func (e *Engine) gate() bool {
	if e.starved {
		return false
	}
	if e.verdict.Outcome == Successful {
		e.proof = true
		e.pass(Successful, e.verdict.Why, fmt.Sprintf("%d canary requests", e.verdict.Requests))
		return true
	}
	if e.now.Sub(e.entered) < e.plan.SettleTime && !e.verdict.Over {
		return false
	}
	return e.insufficient()
}

func (e *Engine) insufficient() bool {
	why := fmt.Sprintf("not enough evidence after %s: %s", brief(e.now.Sub(e.entered).Round(time.Second)), e.verdict.Why)
	switch e.plan.OnInsufficient {
	case OnInsufficientPromote:
		e.blind = true
		e.pass(Inconclusive, why, "none")
		return true
	case OnInsufficientFail:
		e.fail(failure{why: why, judged: true, hosts: e.program[e.at].hosts})
	case OnInsufficientPause:
		e.starved = true
		e.pass(Inconclusive, why, "")
		e.note(PauseNote{Why: e.pauseReason()})
	}
	return false
}

// pass notes a verdict that does not end the run.
func (e *Engine) pass(o Outcome, why, evidence string) {
	e.note(VerdictNote{Outcome: o, Signal: e.verdict.Signal, Why: why, Step: e.place(), Elapsed: e.elapsed(), Evidence: evidence})
}
