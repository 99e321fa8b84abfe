package rollout

import (
	"fmt"
	"time"

	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout/analysis"
)

const (
	// attempts of a commit or an undo on one host, retryAfter apart.
	attempts   = 3
	retryAfter = time.Second
	// hintAfter is when a step that waits for a verdict says so.
	hintAfter = 30 * time.Second
)

// phase is which way the run goes.
type phase int

const (
	waiting  phase = iota // for Begin
	forward               // through the program
	undoing               // some or all hosts go back
	parking               // paused, and the controller ends
	finished              // nothing follows
)

// Engine carries one run through its plan. It is a state machine for one
// goroutine.
type Engine struct {
	plan    Plan
	program []op
	at      int // index of the op that runs
	phase   phase
	hosts   map[string]*member
	order   []string
	seq     int

	now      time.Time
	out      []Command
	begun    time.Time // zero before Begin
	traffic  time.Time // first weight above 0
	entered  time.Time // the op that runs
	progress time.Time // something moved

	judge   *analysis.Judge // of the batches that step, one after another
	weight  release.Weight  // of the batch that steps
	judging bool            // that is above 0
	hard    *analysis.Hard
	usage   *analysis.Resources
	verdict analysis.Verdict
	proof   bool // some step passed by evidence
	blind   bool // some step passed without

	held    bool   // a person asked for a pause
	starved bool   // too little data, a person decides
	stuck   *stuck // failed, and onFailure is pause
	closed  string // why the next batch may not begin
	told    int    // batch of which a step was noted last
	hinted  bool   // it was told what the step waits for
	skipped bool   // the waits of the step that runs are over

	permit    int  // number of the question whether the next batch may begin
	permitted bool // it may

	end ending
}

// member is a host of the run.
type member struct {
	name      string
	batch     int
	pending   Command // under way; no verb: nothing is
	last      Command // what was given last
	tries     int
	retryAt   time.Time
	started   bool // a start was given: from now on it owes a commit, an undo or a park
	live      bool // the start was done
	through   bool // its batch has reached 100 %
	committed bool
	settled   bool // the present phase has nothing more to ask of it
	back      bool // undone
	lost      bool
	behind    bool   // the run goes on without it
	reason    string // why it is behind
	trouble   string // why it does not do what it was told
}

// stuck is a failure that waits for a person.
type stuck struct {
	why    string
	judged bool // by evidence: a person may overrule it
}

// ending is how the run will end.
type ending struct {
	state State
	why   string
	kept  []string // hosts outside the rollback's scope, which are committed

	freeze bool // stable has all traffic, what runs is kept
}

// New checks the plan and returns an engine that waits for Begin.
func New(plan Plan) (*Engine, error) {
	plan = plan.withDefaults()
	if err := plan.validate(); err != nil {
		return nil, fmt.Errorf("plan the rollout: %w", err)
	}
	program, err := plan.program()
	if err != nil {
		return nil, fmt.Errorf("plan the rollout: %w", err)
	}
	e := &Engine{plan: plan, program: program, at: -1, hosts: map[string]*member{}, hard: analysis.NewHard(), usage: analysis.NewResources(plan.Limits),
		judge: analysis.NewJudge(plan.Signals, plan.MinRequests, nil)}
	for i, s := range plan.stages() {
		for _, h := range s.hosts {
			e.hosts[h] = &member{name: h, batch: i + 1}
			e.order = append(e.order, h)
		}
	}
	return e, nil
}

// State is how the run stands: Running or Paused, and after finish its end.
func (e *Engine) State() State {
	switch {
	case e.phase == finished:
		return e.end.state
	case e.phase == parking, e.phase == forward && e.paused():
		return Paused
	}
	return Running
}

// Step takes one event at the time now and returns what is to be done.
func (e *Engine) Step(now time.Time, ev Event) []Command {
	if e.phase == finished {
		return nil
	}
	e.now, e.out = now, nil
	e.handle(ev)
	e.watchdog()
	e.judgeNow()
	e.feed()
	e.proceed()
	e.retry()
	e.settle()
	return e.out
}

func (e *Engine) handle(ev Event) {
	switch ev := ev.(type) {
	case Begin:
		e.begin()
	case Done:
		e.done(ev)
	case Counted:
		e.counted(ev)
	case Measured:
		e.judge.Answer(analysis.Question{Signal: ev.Signal, Number: ev.Seq}, ev.Value, ev.Err)
	case HostLost:
		e.lose(ev)
	case Asked:
		e.asked(ev)
	case Interrupted:
		e.interrupted(ev.Why)
	case Tick:
	}
}

func (e *Engine) begin() {
	if e.phase != waiting {
		return
	}
	e.phase, e.begun = forward, e.now
	e.next()
}

// proceed goes on for as long as nothing has to be waited for.
func (e *Engine) proceed() {
	for e.phase == forward && (!e.held || e.interim()) && e.stuck == nil && e.complete() {
		e.leave()
		if e.phase == forward {
			e.next()
			e.judgeNow()
		}
	}
}

// next enters the op behind the present one.
func (e *Engine) next() {
	var before op
	if e.at >= 0 {
		before = e.program[e.at]
	}
	e.at++
	o := e.program[e.at]
	e.entered, e.progress, e.starved = e.now, e.now, false
	if o.batch != before.batch {
		e.enterBatch(o)
	}
	if o.step > 0 && (o.batch != before.batch || o.step != before.step) {
		e.skipped, e.hinted = false, false
		e.noteStep(o)
	}
	if o.verb != Shift { // which is of the step before until it is done
		e.judge.Reach(e.now, o.reached)
	}
	if o.verb == Shift && o.weight > 0 && e.traffic.IsZero() {
		e.traffic = e.now
	}
	for _, h := range o.hosts {
		if m := e.hosts[h]; !o.waits() {
			m.settled, m.tries = false, 0
		}
	}
	e.feed()
	switch {
	case o.permit:
		e.seq++
		e.permit, e.permitted = e.seq, false
		e.out = append(e.out, Command{Verb: Permit, Seq: e.seq, Hosts: o.hosts})
	case o.hold:
		e.note(PauseNote{Why: e.pauseReason()})
	case o.wait > 0:
		e.wake(e.now.Add(o.wait))
	case o.gate:
		e.wake(e.now.Add(e.plan.SettleTime))
	}
}

// noteStep tells the hosts of a batch with its first step.
func (e *Engine) noteStep(o op) {
	n := StepNote{Batch: o.batch, Batches: e.batches(), Step: o.step, Steps: o.steps, What: o.what}
	if n.Batches > 1 && o.batch != e.told {
		n.Hosts = o.hosts
	}
	e.told = o.batch
	e.note(n)
}

// enterBatch marks the batch before as through, and gives the new one a judge.
func (e *Engine) enterBatch(o op) {
	for _, m := range e.hosts {
		m.through = !m.behind && (o.batch == 0 || m.batch < o.batch)
	}
	e.weight, e.judging, e.verdict = 0, false, analysis.Verdict{}
	e.judge.Next(o.hosts)
}

// complete tells whether the op that runs has nothing left to wait for.
func (e *Engine) complete() bool {
	o := e.program[e.at]
	switch {
	case o.verb == Commit: // hosts that were left behind are waited for here
		return e.allSettled(e.order)
	case !o.waits():
		return e.allSettled(o.hosts)
	case o.permit:
		return e.permitted
	case e.skipped:
		return true
	case o.hold:
		return false
	case o.wait > 0:
		return e.now.Sub(e.entered) >= o.wait
	}
	return e.gate()
}

// leave does what follows from an op that is complete.
func (e *Engine) leave() {
	switch o := e.program[e.at]; o.verb {
	case Shift:
		e.judge.Reach(e.now, o.reached)
		e.judge.Begin(e.now, o.weight)
		e.weight, e.judging = o.weight, o.weight > 0
		e.verdict = analysis.Verdict{}
	case Commit:
		e.endCommit()
	}
}

// give tells a host what to do.
func (e *Engine) give(m *member, c Command) {
	e.seq++
	c.Seq, c.Host = e.seq, m.name
	m.pending, m.last, m.retryAt = c, c, time.Time{}
	m.tries++
	m.started = m.started || c.Verb == Start
	e.out = append(e.out, c)
}

func (e *Engine) note(n any)       { e.out = append(e.out, Command{Verb: Note, Note: n}) }
func (e *Engine) warn(text string) { e.note(WarningNote{Text: text}) }
func (e *Engine) wake(at time.Time) {
	e.out = append(e.out, Command{Verb: Wake, At: at})
}

// batches counts the batches as they run.
func (e *Engine) batches() int {
	n := 0
	for _, m := range e.hosts {
		n = max(n, m.batch)
	}
	return n
}

// interim tells whether a host stands between its old instance and its new
// one: nothing waits there, not even for a person.
func (e *Engine) interim() bool {
	o := e.program[e.at]
	return e.plan.Strategy == Recreate && (o.verb == Start || o.verb == Smoke)
}

func (e *Engine) allSettled(hosts []string) bool {
	for _, h := range hosts {
		if !e.hosts[h].settled {
			return false
		}
	}
	return true
}

func (e *Engine) committing() bool {
	return e.phase == forward && e.program[e.at].verb == Commit
}

func (e *Engine) paused() bool {
	return e.held || e.starved || e.stuck != nil || e.program[e.at].hold && !e.skipped
}
