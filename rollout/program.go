package rollout

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-shipper/shipper/release"
)

const (
	// bakeWeight leaves stable a share as control group.
	bakeWeight release.Weight = 9500
	// everything counts behind the steps of the first batch.
	everything = math.MaxInt
)

// op is one thing the run does or waits for; the whole run is a list of them.
// A verb is given to all hosts and done when all have answered; without a
// verb the op waits: for a time, for a person (hold), or for a verdict (gate).
type op struct {
	verb        Verb
	hosts       []string
	weight      release.Weight
	wait        time.Duration
	hold, gate  bool
	permit      bool // hosts are the next batch: may it begin?
	batch       int  // from 1; 0 for what concerns the fleet
	step, steps int  // step from 1; 0 where none has begun
	reached     int  // what has a starting step up to this one counts
	what        string
}

func (o op) waits() bool { return o.verb == "" }

// stage is a batch as it runs: hosts that join last form one of their own.
type stage struct {
	hosts []string
	steps []Step
	bake  time.Duration
}

// stages sorts the plan's hosts into the batches that really run.
func (p Plan) stages() []stage {
	var out []stage
	var first []string
	for _, batch := range p.Batches {
		var hosts []string
		for _, h := range batch {
			if p.First[h] {
				first = append(first, h)
			} else {
				hosts = append(hosts, h)
			}
		}
		for _, part := range p.parts(hosts) {
			out = append(out, stage{hosts: part, bake: p.Bake})
		}
	}
	if p.Strategy == BlueGreen && len(out) > 1 {
		for _, s := range out[1:] {
			out[0].hosts = append(out[0].hosts, s.hosts...)
		}
		out = out[:1]
	}
	for i := range out {
		switch {
		case p.Strategy == BlueGreen:
			out[i].steps = p.preview()
		case p.Strategy != Canary:
		case i == 0:
			out[i].steps = p.Steps
		default:
			out[i].steps = p.LaterSteps
		}
	}
	for _, part := range p.parts(first) {
		out = append(out, stage{hosts: part})
	}
	return out
}

// preview is what happens before the promotion of a blue-green: those who
// choose the new slot get it, and nobody else.
func (p Plan) preview() []Step {
	if len(p.Steps) == 0 {
		return nil
	}
	none := release.Weight(0)
	return append([]Step{{SetWeight: &none}}, p.Steps...)
}

// parts cuts a batch into what is changed at a time.
func (p Plan) parts(hosts []string) [][]string {
	switch {
	case len(hosts) == 0:
		return nil
	case !p.oneByOne():
		return [][]string{hosts}
	}
	return slices.Collect(slices.Chunk(hosts, p.MaxUnavailable))
}

// program writes the run down as a list of ops.
func (p Plan) program() ([]op, error) {
	stages := p.stages()
	if f := p.From; f.Batch < 0 || f.Batch > len(stages) || f.Step < 0 || f.Batch == 0 && f.Step != 0 {
		return nil, fmt.Errorf("resume at batch %d step %d: there are %d batches", f.Batch, f.Step, len(stages))
	}
	var ops []op
	var all []string
	for i, s := range stages {
		all = append(all, s.hosts...)
		part := p.stageOps(i+1, s)
		if i+1 <= p.From.Batch {
			var err error
			if part, err = resumed(part, s, p.From, i+1); err != nil {
				return nil, err
			}
		} else if i > 0 && p.Permits {
			last := ops[len(ops)-1]
			ops = append(ops, op{permit: true, hosts: s.hosts, batch: i, step: last.step, steps: last.steps, what: "the next batch"})
		}
		ops = append(ops, part...)
	}
	return append(ops, op{verb: Prepare, hosts: all, what: "prepare"}, op{verb: Commit, hosts: all, what: "commit"}), nil
}

// stageOps takes one batch from its start to 100 %.
func (p Plan) stageOps(batch int, s stage) []op {
	step, weight, reached := 0, release.Weight(0), p.reached(batch, s, 0)
	ops := []op{{verb: Start, hosts: s.hosts, reached: reached}, {verb: Smoke, hosts: s.hosts, reached: reached}}
	add := func(o op) {
		o.hosts, o.step, o.reached = s.hosts, step, reached
		ops = append(ops, o)
	}
	shift := func(w release.Weight, what string) {
		weight = w
		add(op{verb: Shift, weight: w, what: what})
	}
	for i, st := range s.steps {
		step++
		reached = p.reached(batch, s, i)
		switch {
		case st.SetWeight != nil:
			shift(*st.SetWeight, "setWeight "+st.SetWeight.String())
		case st.Analysis:
			add(op{gate: true, what: "analysis"})
		case *st.Pause == 0:
			add(op{hold: true, what: "pause until promoted"})
		default:
			add(op{wait: *st.Pause, what: "pause " + brief(*st.Pause)})
			if analysed := i+1 < len(s.steps) && s.steps[i+1].Analysis; weight > 0 && p.judges(reached) && !analysed {
				add(op{gate: true})
			}
		}
	}
	reached = everything
	if p.oneByOne() {
		step++
		shift(release.Full, "setWeight "+release.Full.String())
		p.settle(s, add, &step)
	} else if s.bake > 0 {
		step++
		shift(bakeWeight, "bake "+brief(s.bake))
		add(op{wait: s.bake})
		if p.judges(everything) {
			add(op{gate: true})
		}
	}
	if weight != release.Full {
		step++
		shift(release.Full, "setWeight "+release.Full.String())
	}
	for i := range ops {
		ops[i].batch, ops[i].steps = batch, step
	}
	return ops
}

// reached is the starting step up to which signals count at step i of a batch.
func (p Plan) reached(batch int, s stage, i int) int {
	if batch > 1 || len(s.steps) == 0 || p.Strategy != Canary {
		return everything
	}
	return i
}

// settle watches a host that has all its traffic already: next comes only
// when it is good.
func (p Plan) settle(s stage, add func(op), step *int) {
	if s.bake == 0 {
		return
	}
	*step++
	add(op{wait: s.bake, what: "bake " + brief(s.bake)})
	if p.judges(everything) {
		add(op{gate: true})
	}
}

// resumed is what is left of a batch's ops when a run goes on at from:
// nothing but 100 % for batches before it, the weight of the moment and the
// steps from there on for its own. What restores a weight is no step: the
// first step that is noted is the one the run was in.
func resumed(ops []op, s stage, from Position, batch int) ([]op, error) {
	if batch < from.Batch {
		full := slices.IndexFunc(ops, func(o op) bool { return o.verb == Shift && o.weight == release.Full })
		return []op{ops[0], ops[1], restores(ops[full])}, nil
	}
	if from.Step > ops[0].steps {
		return nil, fmt.Errorf("resume at batch %d step %d: it has %d steps", batch, from.Step, ops[0].steps)
	}
	at := 2
	var weight *op
	for ; at < len(ops) && ops[at].step < from.Step; at++ {
		if ops[at].verb == Shift {
			weight = &ops[at]
		}
	}
	out := slices.Clone(ops[:2])
	if weight != nil && ops[at].verb != Shift {
		out = append(out, restores(*weight))
	}
	return append(out, ops[at:]...), nil
}

func restores(shift op) op {
	shift.step = 0
	return shift
}

// shortcut leaves out what promote-full skips: waits, verdicts and all
// weights below 100.
func shortcut(ops []op) []op {
	var out []op
	for _, o := range ops {
		if o.permit || !o.waits() && (o.verb != Shift || o.weight == release.Full) {
			out = append(out, o)
		}
	}
	return out
}

// brief writes 5m0s as 5m.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
