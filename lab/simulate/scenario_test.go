package simulate

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// scenario is what a seed decided beforehand.
type scenario struct {
	hosts     int
	bare      bool // the first release is deployed here too
	only      bool // and nothing else
	batches   bool
	version   string // what is deployed over the first release
	silent    bool   // no client asks for anything
	twice     int
	lose      int
	offsets   []time.Duration // what the clocks of controllers are wrong by
	faults    []fault
	rival     string // what another controller does
	rivalAt   time.Duration
	overtaken bool // the rival comes when the lease of a frozen controller is over, and must not notice it
	visits    []visit
	after     string // what is done in the end: "", rollback
}

type fault struct {
	kind string
	at   time.Duration
	host int
	long time.Duration
	n    int
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

const maxHosts = 3

func newScenario(seed uint64) scenario {
	rng := rand.New(rand.NewPCG(seed, 0))
	s := scenario{
		bare: seed%16 == 0, hosts: pick(rng, 1, 1, 2, 2, 3), batches: rng.IntN(4) == 0, silent: rng.IntN(8) == 0,
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
				"guard", "power", "write", "write", "disk", "router", "instance"),
			at: time.Duration(rng.Int64N(int64(22 * time.Second))), host: rng.IntN(s.hosts),
			long: time.Duration(rng.Int64N(int64(25 * time.Second))), n: 1 + rng.IntN(6),
		})
	}
	if rng.IntN(3) == 0 {
		s.rival = pick(rng, "deploy", "deploy", "rollback", "abort", "pause", "promote")
		s.rivalAt = time.Duration(rng.Int64N(int64(35 * time.Second)))
		if s.rival == "promote" && s.version == crashes {
			s.version = errs // a person would promote it before it crashes, and may
		}
	}
	s.stress(rng, seed)
	return s
}

func seconds(rng *rand.Rand, from, to int) time.Duration {
	return time.Duration(from)*time.Second + time.Duration(rng.Int64N(int64(to-from)*int64(time.Second)))
}

// stress aims half of all seeds at what needs several things to come together.
func (s *scenario) stress(rng *rand.Rand, seed uint64) {
	at := func(kind string, from, to int) {
		s.faults = append(s.faults, fault{kind: kind, at: seconds(rng, from, to), host: rng.IntN(s.hosts), long: seconds(rng, 1, 25), n: 1 + rng.IntN(8)})
	}
	switch seed % 10 {
	case 4: // people come, and each wants something else
		s.version, s.rival, s.visits = pick(rng, next, next, sick, deaf), "", visits(rng, s.hosts)
	case 5: // a controller was away, and what it had sent comes late
		s.version, s.silent, s.batches, s.twice, s.lose, s.rival = next, false, false, 0, 0, ""
		away := fault{kind: "freeze controller", at: seconds(rng, 2, 9), long: seconds(rng, 18, 38)}
		switch rng.IntN(3) {
		case 0: // just when the host takes itself back
			away.long = seconds(rng, 8, 12)
			s.faults = []fault{away, {kind: "slow", at: away.at, host: rng.IntN(s.hosts), long: 20 * time.Second}}
			return
		case 1: // with the order to go back
			s.faults = []fault{away, {kind: "interrupt", at: away.at + time.Millisecond}}
		default:
			s.faults = []fault{away}
		}
		s.overtaken, s.rival, s.rivalAt = true, "deploy", away.at+lease+seconds(rng, 2, 6) // another one's run is under way
	case 6: // the host restarts in the middle of a lease
		s.version, s.faults, s.rival = pick(rng, next, next, errs), nil, ""
		if s.batches {
			s.version = next // nothing but smoke checks would find errs
		}
		at(pick(rng, "power", "guard"), 3, 14)
		at(pick(rng, "power", "guard", "kill controller", "partition"), 3, 20)
	case 7: // between two writes, several times
		s.faults = nil
		for range 1 + rng.IntN(3) {
			at(pick(rng, "write", "write", "disk"), 0, 15)
		}
		at(pick(rng, "kill controller", "partition", "full", "router"), 2, 14)
	case 8: // the disk, or what runs, is not what it was
		s.faults = nil
		at(pick(rng, "damage", "damage", "full", "hang", "slow"), 0, 18)
		at(pick(rng, "hang", "slow", "partition", "router", "instance"), 0, 18)
	case 9: // two want to be first
		s.rival, s.rivalAt = pick(rng, "deploy", "deploy", "rollback"), seconds(rng, 0, 12)
		if rng.IntN(2) == 0 {
			s.faults = nil
			at(pick(rng, "partition", "kill controller", "interrupt"), 0, 12)
		}
	}
}

// has tells whether there is a fault of a kind.
func (s scenario) has(kind string) bool {
	return slices.ContainsFunc(s.faults, func(f fault) bool { return f.kind == kind })
}

// dark tells whether a host may lose its power.
func (s scenario) dark() bool {
	return s.has("power") || s.has("disk") || s.has("write") || s.has("damage")
}

// harmless tells whether clients must not notice anything.
func (s scenario) harmless() bool {
	for _, f := range s.faults {
		switch f.kind {
		case "power", "router", "instance", "write", "disk", "damage", "full", "hang", "slow":
			return false
		}
	}
	return s.version != crashes && s.version != errs
}

// play runs the release and what comes in between.
func (w *world) play() {
	main := w.controller("main")
	w.main = main
	for _, f := range w.plan.faults {
		w.after(f.at, func() { w.strike(main, f) })
	}
	began := time.Now()
	main.deploy(w.plan.version)
	for _, v := range w.plan.visits {
		w.after(v.at, func() { w.come(v) })
	}
	if w.plan.rival != "" {
		time.Sleep(w.plan.rivalAt)
		w.compete()
	}
	for _, c := range w.controllers() {
		c.wait()
	}
	last := 23 * time.Second
	for _, v := range w.plan.visits {
		last = max(last, v.at+time.Second)
	}
	time.Sleep(max(lease+5*time.Second, last-time.Since(began))) // no fault comes later, and every lease has run out
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
	w.rival = c
	switch w.plan.rival {
	case "deploy":
		c.deploy(third)
	case "rollback":
		c.rollback()
	default:
		c.ask(w.plan.rival)
		if w.plan.rival == "pause" { // nothing but a person ends that
			time.Sleep(15 * time.Second)
			w.controller("person").ask(pick(rand.New(rand.NewPCG(w.seed, 3)), "resume", "promote", "abort"))
		}
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
		l.change(func() { l.down, l.back = true, time.Now().Add(f.long) })
		w.after(f.long, func() { l.change(func() { l.down = false }) })
	case "guard":
		h.killGuard(f.long, pick(rand.New(rand.NewPCG(w.seed, uint64(f.n))), 0, time.Hour, -time.Hour))
	case "power":
		h.powerCut(f.long)
	case "write":
		h.mu.Lock()
		h.writes, h.late, h.power = f.n, f.long%2 == 0, f.long%3 == 0
		h.mu.Unlock()
	case "disk":
		h.disk.cutAt(1 + rand.New(rand.NewPCG(w.seed, uint64(f.n))).IntN(80))
	case "damage":
		h.damage(rand.New(rand.NewPCG(w.seed, uint64(f.n))), f.long)
	case "full":
		h.mu.Lock()
		h.full = time.Now().Add(f.long)
		h.mu.Unlock()
	case "hang":
		h.scm.hang(f.long)
	case "slow":
		h.scm.slow(f.long)
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
		h.disk.cutAt(0)
	}
	if len(w.plan.visits) > 0 {
		time.Sleep(time.Minute) // every host is up again
		w.tidy()
	}
	time.Sleep(lease + 2*time.Minute)
	w.judgeRest("after the run")
}
