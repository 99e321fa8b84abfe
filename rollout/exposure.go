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
			now = Exposure{Batch: o.batch, Step: o.step, Hosts: o.hosts, Weight: o.weight}
			continue
		}
		now.For += o.wait
		now.Open = now.Open || o.hold
		if o.gate {
			now.For, now.Judged = now.For+p.patience(), true
		}
	}
	return out, nil
}

// waited is the exposure, if it is one.
func (x Exposure) waited() []Exposure {
	if x.Weight == 0 || x.For == 0 && !x.Open {
		return nil
	}
	return []Exposure{x}
}

// patience is how long a step waits for a verdict.
func (p Plan) patience() time.Duration {
	if p.OnInsufficient == OnInsufficientExtend && p.ProgressDeadline > 0 {
		return p.ProgressDeadline
	}
	return p.SettleTime
}
