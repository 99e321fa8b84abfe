package rollout

import (
	"cmp"
	"fmt"
)

// asked does what a person or another process wants, or says why not.
func (e *Engine) asked(a Asked) {
	by := cmp.Or(a.By, "somebody")
	if e.phase == undoing || e.phase == parking || e.committing() {
		e.warn(fmt.Sprintf("%s by %s comes too late: the run is ending", a.Kind, by))
		return
	}
	if a.Kind == AskAbort {
		e.rollBack(Aborted, "aborted by "+by+e.when(), nil)
		return
	}
	if e.phase == waiting || e.program[e.at].verb == Prepare {
		e.warn(fmt.Sprintf("%s by %s: no step runs", a.Kind, by))
		return
	}
	switch a.Kind {
	case AskPause:
		e.pause(by)
	case AskResume:
		e.resume(by)
	case AskPromote:
		e.promote(by, false)
	case AskPromoteFull:
		e.promote(by, true)
	default:
		e.warn(fmt.Sprintf("%q by %s: unknown request", a.Kind, by))
	}
}

func (e *Engine) pause(by string) {
	if e.paused() {
		e.warn("pause by " + by + ": the run is paused already")
		return
	}
	e.held = true
	e.note(PauseNote{Why: "asked for by " + by + e.when()})
}

// resume ends a pause that was asked for, and gives a starved step another
// SettleTime. A pause until promoted and a failure want a decision.
func (e *Engine) resume(by string) {
	switch {
	case e.held:
		e.held = false
	case e.starved:
		e.starved, e.entered = false, e.now
		e.judge.Again()
		e.wake(e.now.Add(e.plan.SettleTime))
	case e.paused():
		e.warn("resume by " + by + ": the run waits for promote or abort: " + e.pauseReason())
	default:
		e.warn("resume by " + by + ": the run is not paused")
	}
	e.progress = e.now
}

// promote ends the step that waits, or everything that waits.
func (e *Engine) promote(by string, full bool) {
	o := e.program[e.at]
	switch {
	case e.stuck != nil && !e.stuck.judged:
		e.warn("promote by " + by + ": only abort is possible: " + e.stuck.why)
		return
	case !full && !o.waits() && !e.paused():
		e.warn("promote by " + by + ": no step waits")
		return
	case e.stuck != nil:
		e.stuck, e.blind = nil, true
		e.judge.Forget(e.now, e.weight)
	case o.waits() && e.verdict.Outcome == Successful:
		e.proof = true
	case o.waits() && e.judging && e.plan.judges(o.reached):
		e.blind = true
	}
	e.held, e.starved, e.progress = false, false, e.now
	e.skipped = e.skipped || o.waits()
	if full {
		e.program = append(e.program[:e.at+1:e.at+1], shortcut(e.program[e.at+1:])...)
	}
}

// interrupted ends the run together with the controller: a paused one is
// parked, any other goes back, and in the commit round it is too late.
func (e *Engine) interrupted(why string) {
	switch {
	case e.phase == undoing || e.phase == parking:
	case e.committing():
		e.warn("interrupted inside the commit round, which goes on: " + why)
	case e.phase == forward && e.paused() && !e.starting() && e.plan.Strategy != Recreate:
		e.park()
	default:
		e.rollBack(Aborted, "interrupted: "+why+e.when(), nil)
	}
}

// starting tells whether some start is under way: such a slot can not be parked.
func (e *Engine) starting() bool {
	for _, m := range e.hosts {
		if m.pending.Verb == Start {
			return true
		}
	}
	return false
}
