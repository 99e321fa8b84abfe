package simulate

import (
	"context"
	"math/rand/v2"
	"time"
)

// scenario is what a seed decided beforehand.
type scenario struct {
	hosts   int
	batches bool
	version string // what is deployed over the first release
	silent  bool   // no client asks for anything
	twice   int
	lose    int
	offsets []time.Duration // what the clocks of controllers are wrong by
	faults  []fault
	rival   string // what another controller does
	rivalAt time.Duration
	after   string // what is done in the end: "", rollback
}

type fault struct {
	kind string
	at   time.Duration
	host int
	long time.Duration
	n    int
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

func newScenario(rng *rand.Rand) scenario {
	s := scenario{
		hosts: pick(rng, 1, 1, 2, 2, 3), batches: rng.IntN(4) == 0, silent: rng.IntN(8) == 0,
		version: pick(rng, next, next, next, next, deaf, sick, crashes, errs),
		after:   pick(rng, "", "rollback"),
	}
	if s.hosts == 1 {
		s.batches = false
	}
	if s.batches { // rolling looks at nothing but smoke checks
		s.version = pick(rng, next, next, deaf, sick)
	}
	for range 3 {
		s.offsets = append(s.offsets, pick(rng, 0, 0, -time.Hour, 90*time.Second))
	}
	if rng.IntN(3) == 0 {
		s.twice, s.lose = rng.IntN(100), rng.IntN(20)
	}
	for range pick(rng, 0, 1, 1, 2, 3) {
		s.faults = append(s.faults, fault{
			kind: pick(rng, "kill controller", "kill controller", "freeze controller", "interrupt", "partition", "partition",
				"guard", "power", "write", "write", "router", "instance"),
			at: time.Duration(rng.Int64N(int64(22 * time.Second))), host: rng.IntN(s.hosts),
			long: time.Duration(rng.Int64N(int64(25 * time.Second))), n: 1 + rng.IntN(6),
		})
	}
	if rng.IntN(3) == 0 {
		s.rival = pick(rng, "deploy", "deploy", "rollback", "abort", "pause", "promote")
		s.rivalAt = time.Duration(rng.Int64N(int64(35 * time.Second)))
	}
	return s
}

// harmless tells whether clients must not notice anything.
func (s scenario) harmless() bool {
	for _, f := range s.faults {
		switch f.kind {
		case "power", "router", "instance", "write":
			return false
		}
	}
	return s.version != crashes && s.version != errs
}

// play runs the release and what comes in between.
func (w *world) play() {
	main := w.controller("main")
	for _, f := range w.plan.faults {
		w.after(f.at, func() { w.strike(main, f) })
	}
	main.deploy(w.plan.version)
	if w.plan.rival != "" {
		time.Sleep(w.plan.rivalAt)
		w.compete()
	}
	for _, c := range w.controllers() {
		c.wait()
	}
	time.Sleep(lease + 15*time.Second) // no fault comes later, and every lease has run out
	for _, c := range w.controllers() {
		c.wait()
	}
}

func (w *world) controllers() []*controller {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*controller(nil), w.all...)
}

func (w *world) compete() {
	c := w.controller("rival")
	switch w.plan.rival {
	case "deploy":
		c.deploy(third)
	case "rollback":
		c.rollback()
	default:
		c.ask(w.plan.rival)
	}
}

// strike does harm.
func (w *world) strike(main *controller, f fault) {
	h := w.hosts[f.host]
	w.event("fault: %s %s for %v", f.kind, h.name, f.long)
	l := main.links[h.name]
	switch f.kind {
	case "kill controller":
		main.kill()
	case "interrupt":
		main.stop(context.Canceled)
	case "freeze controller":
		for _, l := range main.links {
			l.change(func() { l.frozen = time.Now().Add(f.long) })
		}
	case "partition":
		l.change(func() { l.down = true })
		w.after(f.long, func() { l.change(func() { l.down = false }) })
	case "guard":
		h.killGuard(f.long, pick(rand.New(rand.NewPCG(w.seed, uint64(f.n))), 0, time.Hour, -time.Hour))
	case "power":
		h.powerCut(f.long)
	case "write":
		h.mu.Lock()
		h.writes, h.late, h.power = f.n, f.long%2 == 0, f.long%3 == 0
		h.mu.Unlock()
	case "router":
		h.scm.crash("shipper-router-a", 0)
	case "instance":
		h.scm.crash(service+pick(rand.New(rand.NewPCG(w.seed, uint64(f.n))), "-blue", "-green"), 0)
	}
}

// settle lets every fault end and every lease run out.
func (w *world) settle() {
	for _, h := range w.hosts {
		h.mu.Lock()
		h.writes = 0
		h.mu.Unlock()
	}
	time.Sleep(lease + 2*time.Minute)
	w.judgeRest("after the run")
}
