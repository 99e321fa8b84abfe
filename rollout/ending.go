package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// failure is why a run can not go on, and on which hosts.
type failure struct {
	why, signal string
	hosts       []string
	judged      bool
	own         bool // of these hosts, it may be: nothing of the release was seen to be bad
}

// fail takes the run back, or freezes it where that is for a person to do.
func (e *Engine) fail(f failure) {
	if e.phase != waiting && e.phase != forward || e.leaveBehind(f) {
		return
	}
	if e.stuck != nil {
		e.stuck.judged = e.stuck.judged && f.judged
		e.warn(f.why)
		return
	}
	why := f.why + " → Failed" + e.when()
	e.note(VerdictNote{Outcome: FailedSignal, Signal: f.signal, Why: why, Step: e.place(), Elapsed: e.elapsed()})
	switch {
	case e.phase != forward || e.interim():
	case e.plan.OnFailure == OnFailurePause:
		e.stuck = &stuck{why: why, judged: f.judged}
		e.note(PauseNote{Why: e.pauseReason()})
		return
	case e.plan.OnFailure == OnFailureFreeze && e.anyLive():
		e.freeze(why)
		return
	}
	e.rollBack(e.failState(), why, f.hosts)
}

// freeze gives all traffic to stable at once and keeps what runs of the new
// release for a person to look at. What never came up has nothing to keep.
func (e *Engine) freeze(why string) {
	e.end = ending{state: Paused, why: "frozen: " + why, freeze: true}
	e.phase, e.progress = parking, e.now
	e.held, e.starved, e.stuck = false, false, nil
	for _, h := range e.order {
		m := e.hosts[h]
		if m.behind {
			continue
		}
		m.settled, m.retryAt = true, time.Time{}
		switch {
		case !m.started || m.lost:
		case m.live:
			e.dismiss(m, Command{Verb: Park, State: Paused, Why: e.end.why, Freeze: true})
		default:
			e.dismiss(m, Command{Verb: Undo, State: RolledBack, Why: e.end.why})
		}
	}
	e.note(PauseNote{Why: e.end.why})
}

func (e *Engine) anyLive() bool {
	for _, m := range e.hosts {
		if m.live && !m.lost && !m.behind {
			return true
		}
	}
	return false
}

// failState tells a rollback from a first deploy that has nothing to go back to.
func (e *Engine) failState() State {
	for _, h := range e.order {
		if !e.plan.First[h] {
			return RolledBack
		}
	}
	return Failed
}

// rollBack undoes every host that was started, but for those that the scope
// keeps. A lost host can not be told: its lease takes it back.
func (e *Engine) rollBack(state State, why string, blamed []string) {
	kept := e.kept(state, blamed)
	e.end = ending{state: state, why: why, kept: kept}
	e.phase, e.progress = undoing, e.now
	e.held, e.starved, e.stuck = false, false, nil
	for _, h := range e.order {
		m := e.hosts[h]
		if m.behind {
			continue // it goes back already
		}
		m.settled, m.retryAt = true, time.Time{}
		switch {
		case slices.Contains(kept, h):
			m.settled = m.pending.Verb == ""
		case m.started && !m.back && !m.lost:
			e.dismiss(m, Command{Verb: Undo, State: state, Why: why})
		}
	}
}

// dismiss gives a host its last command.
func (e *Engine) dismiss(m *member, c Command) {
	m.settled, m.live, m.tries = false, false, 0
	e.give(m, c)
	e.out = append(e.out, Command{Verb: Unwatch, Host: m.name})
}

// kept lists the hosts at 100 % that a narrow scope leaves as they are. A
// second failure, and a person, take all back.
func (e *Engine) kept(state State, blamed []string) []string {
	if e.plan.Scope == ScopeFleet || state != RolledBack || e.end.kept != nil {
		return nil
	}
	var out []string
	for _, h := range e.order {
		m := e.hosts[h]
		guilty := slices.ContainsFunc(blamed, func(b string) bool {
			return b == h || e.plan.Scope == ScopeBatch && e.hosts[b].batch == m.batch
		})
		if m.through && !guilty {
			out = append(out, h)
		}
	}
	return out
}

// park leaves a paused run for another controller.
func (e *Engine) park() {
	e.end = ending{state: Paused, why: e.pauseReason()}
	e.phase, e.progress = parking, e.now
	for _, h := range e.order {
		m := e.hosts[h]
		if m.behind {
			continue
		}
		m.settled = true
		if m.started && !m.lost {
			e.dismiss(m, Command{Verb: Park, State: Paused, Why: e.end.why})
		}
	}
}

// settle ends the run when all hosts are back or parked.
func (e *Engine) settle() {
	if e.phase != undoing && e.phase != parking || !e.allSettled(e.order) {
		return
	}
	if e.phase == undoing && len(e.end.kept) > 0 {
		e.keep()
		return
	}
	_, left := e.behind()
	e.finish(e.end.state, e.end.why+left+e.owing())
}

// keep commits the hosts that the scope left as they are.
func (e *Engine) keep() {
	hosts := e.end.kept
	e.program = []op{{verb: Prepare, hosts: hosts}, {verb: Commit, hosts: hosts}}
	e.phase, e.at, e.judging = forward, -1, false
	e.next()
}

// owing names the hosts that did not do what they were told.
func (e *Engine) owing() string {
	var out []string
	for _, h := range e.order {
		if m := e.hosts[h]; m.owes() && !m.behind {
			out = append(out, fmt.Sprintf("%s (%s)", h, m.trouble))
		}
	}
	if out == nil {
		return ""
	}
	return "; left to the lease: " + strings.Join(out, ", ")
}

// owes tells whether the host was not seen to do what it was told last.
func (m *member) owes() bool { return m.started && !m.back && !m.committed && m.trouble != "" }

// lags tells whether a host that was left behind is not where the run ended.
func (m *member) lags(end State) bool { return end == Promoted || end == Split || m.owes() }

// endCommit ends the run behind the commit round.
func (e *Engine) endCommit() {
	var done, open, back []string
	for _, h := range e.order {
		switch m := e.hosts[h]; {
		case m.behind:
		case m.committed:
			done = append(done, h)
		case slices.Contains(e.program[e.at].hosts, h):
			open = append(open, fmt.Sprintf("%s (%s)", h, m.trouble))
		default:
			back = append(back, h)
		}
	}
	_, left := e.behind()
	text := "committed on " + strings.Join(done, ", ") + left
	if len(open) > 0 {
		text += "; not known to be committed: " + strings.Join(open, ", ")
	}
	switch {
	case len(back) > 0:
		e.finish(Split, fmt.Sprintf("%s; %s; back on stable: %s%s", e.end.why, text, strings.Join(back, ", "), e.owing()))
	case len(open) > 0:
		e.finish(Split, text)
	default:
		e.finish(Promoted, text+e.evidence())
	}
}

// evidence says so where a release was promoted without any.
func (e *Engine) evidence() string {
	if e.plan.NoEvidence || e.proof && !e.blind {
		return ""
	}
	e.pass(Inconclusive, "promoted without evidence", "none")
	return "; evidence: none"
}

func (e *Engine) finish(state State, why string) {
	e.phase, e.end.state = finished, state
	var behind []string
	for _, h := range e.order {
		if m := e.hosts[h]; m.owes() && state != Split || m.behind && m.lags(state) {
			behind = append(behind, h)
		}
	}
	e.out = append(e.out, Command{Verb: Finish, State: state, Why: why, Behind: behind, Freeze: e.end.freeze})
}

// pauseReason says what a paused run waits for.
func (e *Engine) pauseReason() string {
	switch {
	case e.closed != "":
		return e.closed + e.when()
	case e.stuck != nil:
		return "failed, and a person decides (onFailure: pause): " + e.stuck.why
	case e.starved:
		return "too little evidence at " + e.place() + ": " + e.verdict.Why
	case e.held:
		return "held at " + e.place()
	}
	return e.program[e.at].what + " at " + e.place()
}

// when ends a sentence about the run: where it stands, and for how long.
func (e *Engine) when() string {
	since := "start"
	if !e.traffic.IsZero() {
		since = "first traffic"
	}
	return fmt.Sprintf(" at %s, %s after %s", e.place(), seconds(e.elapsed()), since)
}

// place names the step that runs: "step 2/4", "batch 1/3 step 2/4", "smoke".
func (e *Engine) place() string {
	if e.at < 0 {
		return "the beginning"
	}
	o := e.program[e.at]
	text := string(o.verb)
	if o.step > 0 {
		text = fmt.Sprintf("step %d/%d", o.step, o.steps)
	}
	if n := e.batches(); o.batch > 0 && n > 1 {
		text = fmt.Sprintf("batch %d/%d %s", o.batch, n, text)
	}
	return text
}

// elapsed is the time since the first traffic, before that since Begin.
func (e *Engine) elapsed() time.Duration {
	switch {
	case !e.traffic.IsZero():
		return e.now.Sub(e.traffic)
	case !e.begun.IsZero():
		return e.now.Sub(e.begun)
	}
	return 0
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.0f s", d.Seconds()) }
