package rollout

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "replay this seed of the simulation only")
	simSeeds = flag.Int("sim.seeds", 3000, "how many seeds the simulation runs")
)

// stepper is the engine, or a mutant of it.
type stepper interface {
	Step(time.Time, Event) []Command
	State() State
}

// fleet is a small world: hosts that answer late, fail, restart and vanish,
// people who ask for things, and a controller that is interrupted.
type fleet struct {
	rng    *rand.Rand
	plan   Plan
	engine stepper
	now    time.Time
	hosts  map[string]*simHost
	queue  []pending
	out    *outcome
	bad    bool // the new release fails requests
	chaos  float64
}

type simHost struct {
	busy    time.Time // commands of a host are executed one after another
	watched bool
	pid     uint32
	weight  release.Weight
	canary  Counts
	stable  Counts
	gone    bool
}

// pending is an event on its way to the engine.
type pending struct {
	at time.Time
	ev Event
}

const tick = 500 * time.Millisecond

func newFleet(seed uint64, build func(Plan) (stepper, error)) (*fleet, error) {
	rng := rand.New(rand.NewPCG(seed, 77))
	f := &fleet{rng: rng, now: time.Unix(1_700_000_000, 0), hosts: map[string]*simHost{}}
	f.plan = randomPlan(rng)
	f.bad = rng.IntN(4) == 0
	if rng.IntN(3) > 0 {
		f.chaos = rng.Float64() * 0.02
	}
	for _, b := range f.plan.Batches {
		for _, h := range b {
			f.hosts[h] = &simHost{pid: rng.Uint32N(9000) + 1}
		}
	}
	e, err := build(f.plan)
	f.engine = e
	f.out = newOutcome(f.plan)
	return f, err
}

func randomPlan(rng *rand.Rand) Plan {
	p := Plan{
		Strategy: []string{Canary, Canary, BlueGreen, Rolling, Recreate}[rng.IntN(5)], ProgressDeadline: 5 * time.Minute,
		MaxParallel: rng.IntN(3), MaxUnavailable: rng.IntN(3), Budget: max(0, rng.IntN(4)-1), Spare: max(0, rng.IntN(4)-1),
		SettleTime: time.Duration(rng.IntN(60)) * time.Second, MinRequests: 50, First: map[string]bool{},
		OnInsufficient: []string{OnInsufficientPause, OnInsufficientExtend, OnInsufficientFail, OnInsufficientPromote}[rng.IntN(4)],
		Scope:          []string{ScopeFleet, ScopeFleet, ScopeBatch, ScopeHost}[rng.IntN(4)], OnFailure: []string{OnFailurePause, OnFailureFreeze, OnFailureRollback, OnFailureRollback, OnFailureRollback}[rng.IntN(5)],
		Signals: []Signal{{Name: "errors", Kind: "errors", MaxRatio: 0.02, Interval: time.Second * time.Duration(rng.IntN(4))}},
	}
	if p.Strategy == Recreate && p.OnFailure == OnFailureFreeze {
		p.OnFailure = OnFailurePause
	}
	n := 0
	for range 1 + rng.IntN(3) {
		var batch []string
		for range 1 + rng.IntN(3) {
			n++
			h := fmt.Sprintf("web%d", n)
			batch = append(batch, h)
			if rng.IntN(6) == 0 {
				p.First[h] = true
			}
		}
		p.Batches = append(p.Batches, batch)
	}
	if rng.IntN(2) == 0 {
		p.Bake = time.Duration(rng.IntN(20)) * time.Second
	}
	weight := release.Weight(0)
	for range rng.IntN(5) {
		pause := time.Duration(rng.IntN(20)) * time.Second
		switch rng.IntN(3) {
		case 0:
			weight = release.Weight(rng.IntN(int(release.Full) + 1))
			w := weight
			p.Steps = append(p.Steps, Step{SetWeight: &w})
		case 1:
			p.Steps = append(p.Steps, Step{Pause: &pause})
		case 2:
			if weight > 0 {
				p.Steps = append(p.Steps, Step{Analysis: true})
			}
		}
	}
	if p.Strategy == BlueGreen {
		p.Steps = slices.DeleteFunc(p.Steps, func(s Step) bool { return s.Pause == nil })
	}
	if rng.IntN(2) == 0 {
		p.Signals = []Signal{{Name: "evidence", Kind: "evidence"}}
	}
	if n := latestStart(p); p.Strategy == Canary && n > 0 {
		p.Signals[0].StartingStep = int(rng.Uint64()>>32) % (n + 1)
	}
	return p
}

// latestStart is the last step with which a signal can begin to count.
func latestStart(p Plan) int {
	if at := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Analysis }); at >= 0 {
		return at
	}
	return len(p.Steps) - 1
}

// run drives the engine to its end, and a little further.
func (f *fleet) run() error {
	f.send(Begin{})
	for i := 0; f.out.finished == "" && f.out.err == nil; i++ {
		if i > 40_000 {
			return fmt.Errorf("no end after %d steps, state %s", i, f.engine.State())
		}
		f.world(i)
		f.deliver()
	}
	for _, ev := range []Event{Tick{}, Asked{Kind: AskAbort}, Interrupted{}, Counted{Host: "web1"}, HostLost{Host: "web1", Err: errors.New("x")}} {
		f.send(ev)
	}
	return f.out.verdict()
}

// world lets time pass and things happen.
func (f *fleet) world(i int) {
	f.now = f.now.Add(tick)
	names := f.names()
	if i%2 == 0 {
		for _, h := range names {
			f.look(h)
		}
	}
	f.enqueue(f.now, Tick{})
	if i > 20_000 { // nobody waits for ever
		f.enqueue(f.now, Asked{Kind: AskAbort})
	}
	if f.rng.Float64() < 0.03 {
		kinds := []string{AskPause, AskResume, AskResume, AskPromote, AskPromote, AskPromoteFull}
		f.enqueue(f.now, Asked{Kind: kinds[f.rng.IntN(len(kinds))], By: "sim"})
	}
	if f.engine.State() == Paused && f.rng.Float64() < 0.01 { // people go home while a run waits
		f.enqueue(f.now, Interrupted{Why: "SIGTERM"})
	}
	if f.rng.Float64() < f.chaos {
		f.disturb(names[f.rng.IntN(len(names))])
	}
}

func (f *fleet) disturb(host string) {
	h := f.hosts[host]
	switch f.rng.IntN(6) {
	case 0:
		h.pid++ // reboot or crash
	case 1:
		f.bad = true
	case 2, 3:
		if !h.gone {
			h.gone = true
			f.enqueue(f.now, HostLost{Host: host, Err: errors.New("gone")})
		}
	case 4:
		f.enqueue(f.now, Asked{Kind: AskAbort, By: "sim"})
	case 5:
		f.enqueue(f.now, Interrupted{Why: "SIGINT"})
	}
}

// look sends counters of a watched host; some have no traffic at all.
func (f *fleet) look(host string) {
	h := f.hosts[host]
	if !h.watched || h.gone {
		return
	}
	all := int64(f.rng.IntN(40))
	canary := all * int64(h.weight) / int64(release.Full)
	h.canary.Requests += canary
	h.stable.Requests += all - canary
	if f.bad && h.weight > 0 {
		h.canary.Errors += canary / 2
	}
	f.enqueue(f.now.Add(f.delay()), Counted{Host: host, Epoch: "1", Canary: h.canary, Stable: h.stable,
		Live: Instance{State: "running", PID: h.pid}})
}

func (f *fleet) delay() time.Duration { return time.Duration(f.rng.IntN(3000)) * time.Millisecond }

func (f *fleet) enqueue(at time.Time, ev Event) { f.queue = append(f.queue, pending{at, ev}) }

// deliver gives the engine what is due, in any order between hosts.
func (f *fleet) deliver() {
	var due, rest []pending
	for _, p := range f.queue {
		if p.at.After(f.now) {
			rest = append(rest, p)
		} else {
			due = append(due, p)
		}
	}
	f.queue = rest
	slices.SortStableFunc(due, func(a, b pending) int { return a.at.Compare(b.at) })
	for _, p := range due {
		f.send(p.ev)
	}
}

func (f *fleet) send(ev Event) {
	f.out.event(ev)
	for _, c := range f.engine.Step(f.now, ev) {
		f.out.command(c)
		f.execute(c)
	}
}

// execute does what pipeline and the hosts would do.
func (f *fleet) execute(c Command) {
	h := f.hosts[c.Host]
	switch c.Verb {
	case Watch, Unwatch:
		h.watched = c.Verb == Watch
	case Start, Smoke, Shift, Prepare, Commit, Undo, Park:
		if c.Verb == Undo || c.Verb == Park {
			h.busy = f.now
		}
		h.busy = later(h.busy, f.now).Add(f.delay() / 2)
		f.answer(c, h)
	}
}

func (f *fleet) answer(c Command, h *simHost) {
	done := Done{Command: c}
	switch {
	case h.gone:
		done.Err = errors.New("unreachable")
	case f.rng.Float64() < f.chaos*2:
		done.Err = errors.New("refused")
	case c.Verb == Shift:
		h.weight = c.Weight
	case c.Verb == Undo || c.Verb == Park:
		h.weight = 0
	}
	f.enqueue(h.busy, done)
}

func (f *fleet) names() []string {
	var out []string
	for _, b := range f.plan.Batches {
		out = append(out, b...)
	}
	return out
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func simulate(seed uint64, build func(Plan) (stepper, error)) (*fleet, error) {
	f, err := newFleet(seed, build)
	if err != nil {
		return f, fmt.Errorf("plan: %w", err)
	}
	err = f.run()
	for range 3 { // another controller takes a parked run on
		if err != nil || f.out.finished != Paused {
			break
		}
		if f.engine, err = build(f.parked()); err != nil {
			return f, fmt.Errorf("plan the rest: %w", err)
		}
		err = f.run()
	}
	return f, err
}

// parked makes the world as it is after a park, and the plan to go on.
func (f *fleet) parked() Plan {
	f.plan.From = f.out.at
	f.out, f.queue = newOutcome(f.plan), nil
	for _, h := range f.hosts {
		h.gone, h.watched, h.weight = false, false, 0
	}
	return f.plan
}

func healthy(p Plan) (stepper, error) { return New(p) }

// TestSimulation runs the engine through thousands of runs in which anything
// may happen at any time. Replay a seed by `-sim.seed N` or SHIPPER_SIM_SEED=N.
func TestSimulation(t *testing.T) {
	first, count := uint64(1), *simSeeds
	if testing.Short() {
		count /= 10
	}
	if s, err := strconv.ParseUint(os.Getenv("SHIPPER_SIM_SEED"), 10, 64); err == nil {
		*simSeed = s
	}
	if *simSeed > 0 {
		first, count = *simSeed, 1
	}
	ends := map[State]int{}
	for seed := first; seed < first+uint64(count); seed++ {
		f, err := simulate(seed, healthy)
		if err != nil {
			t.Fatalf("seed %d: %v\nplan %+v\n%s\nreplay: go test ./rollout -run TestSimulation -sim.seed %d", seed, err, f.plan, f.out.story(), seed)
		}
		ends[f.out.finished]++
	}
	t.Logf("%d runs ended: %v", count, ends)
	for _, s := range []State{Promoted, RolledBack, Aborted, Paused, Split, Failed} {
		if count >= 1000 && ends[s] == 0 {
			t.Errorf("no run ended %s: the simulation does not reach it", s)
		}
	}
}
