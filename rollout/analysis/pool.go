package analysis

import (
	"time"

	"github.com/go-shipper/shipper/release"
)

const (
	// minPool units of a host are compared together, or what came in maxPool: of
	// a request that is looked at alone nobody can say into which arm it was more
	// likely to fall.
	minPool = 50
	maxPool = 30 * time.Second
)

// pool is what a host counted that was not compared yet. The canary's latency
// is in it only while it is warm.
type pool struct {
	since          time.Time
	tally          tally
	warm           bool
	canary, stable [release.LatencyBuckets]int64
}

func (p *pool) add(t tally, canary, stable histogram) {
	p.tally.plus(t)
	sumInto(&p.stable, stable)
	if p.warm {
		sumInto(&p.canary, canary)
	}
}

// full depends on requests and time only, never on how requests ended.
func (p *pool) full(now time.Time) bool {
	return p.tally.canary+p.tally.stable >= minPool || now.Sub(p.since) >= maxPool
}

func (p *pool) empty(now time.Time) { *p = pool{since: now, warm: p.warm} }

func sumInto(sum *[release.LatencyBuckets]int64, more histogram) {
	for i, n := range more[:min(len(more), len(sum))] {
		sum[i] += n
	}
}

// pooled is what waits on all hosts.
func (e *evidence) pooled() tally {
	var sum tally
	for _, s := range e.hosts {
		sum.plus(s.pool.tally)
	}
	return sum
}
