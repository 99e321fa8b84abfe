package rollout

import (
	"time"

	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout/analysis"
)

// Traffic is what a forecast goes by.
type Traffic = analysis.Traffic

// Exposure is a step in which a new release has traffic and is waited with.
type Exposure struct {
	Batch, Step int
	Hosts       []string
	Weight      release.Weight
	For         time.Duration // at most, until the run goes on or somebody has to decide
	Judged      bool          // it waits for a verdict
	Open        bool          // it waits for a person
	Reached     int           // signals with a later starting step do not count yet
}

// Exposures are the steps with traffic in the order in which a run takes them.
func (p Plan) Exposures() ([]Exposure, error) {
	p = p.withDefaults()
	if err := p.validate(); err != nil {
		return nil, err
	}
	ops, err := p.program()
	if err != nil {
		return nil, err
	}
	var out []Exposure
	var now Exposure
	for _, o := range ops {
		if !o.waits() {
			out = append(out, now.waited()...)
			now = Exposure{Batch: o.batch, Step: o.step, Hosts: o.hosts, Weight: o.weight, Reached: o.reached}
			continue
		}
		if p.counting(o.reached) > p.counting(now.Reached) && now.waits() {
			out = append(out, now)
			now = Exposure{Batch: o.batch, Step: o.step, Hosts: o.hosts, Weight: now.Weight}
		}
		now.Reached = o.reached
		now.For += o.wait
		now.Open = now.Open || o.hold
		if o.gate {
			now.For, now.Judged = now.For+p.patience(), true
		}
	}
	return out, nil
}

func (x Exposure) waits() bool { return x.Weight > 0 && (x.For > 0 || x.Open) }

// waited is the exposure, if it is one.
func (x Exposure) waited() []Exposure {
	if !x.waits() {
		return nil
	}
	return []Exposure{x}
}

// counting is how many signals count once a starting step is reached.
func (p Plan) counting(reached int) int {
	n := 0
	for _, s := range p.Signals {
		if s.StartingStep <= reached {
			n++
		}
	}
	return n
}

// patience is how long a step waits for a verdict.
func (p Plan) patience() time.Duration {
	if p.OnInsufficient == OnInsufficientExtend && p.ProgressDeadline > 0 {
		return p.ProgressDeadline
	}
	return p.SettleTime
}
