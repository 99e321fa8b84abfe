package analysis

import (
	"math"
	"time"

	"github.com/go-shipper/shipper/release"
)

const (
	// lookEvery is about how often a host's counters come.
	lookEvery = 500 * time.Millisecond
	// mostProof requests of the canary are as good as never.
	mostProof = 1_000_000
)

// Traffic is what a forecast goes by.
type Traffic struct {
	Rate   float64 // requests a second, on all hosts together
	Hosts  int
	Weight release.Weight
	Failed float64 // share of stable's requests
}

// Detect expects how long it takes to find a canary of whose requests the
// share bad fails, by evidence or because it is dead. Never: it is no worse,
// or there is nothing to compare it with.
func (s Signal) Detect(t Traffic, bad float64) (after time.Duration, found bool) {
	seconds := math.Inf(1)
	need := -math.Log(orDefault(s.Alpha, defaultAlpha)) + math.Log(float64(len(factors))/(atOnce*onErrors))
	if best := t.growth(bad, orDefault(s.Margin, defaultMargin)); best > 0 {
		seconds = need/best + (t.pooled()/t.perHost()+1)/2
	}
	return duration(min(seconds, t.dead(bad)))
}

// Dead expects how long it takes to find such a canary by the hard rules alone.
func (t Traffic) Dead(bad float64) (after time.Duration, found bool) { return duration(t.dead(bad)) }

func (t Traffic) dead(bad float64) float64 {
	if bad >= 1 && t.Failed < shared {
		return deadAfter / t.canary()
	}
	return math.Inf(1)
}

// Prove expects how long a canary that fails no more than stable does takes to
// show that it fails less than the limit, and to be warm. Never: stable itself
// fails more.
func (s Signal) Prove(t Traffic) (after time.Duration, shown bool) {
	limit := orDefault(s.MaxRatio, defaultMaxErrors)
	if t.Failed >= limit || t.canary() <= 0 {
		return 0, false
	}
	var log, n float64
	for ; log < -math.Log(defaultBeta); n++ {
		if n > mostProof {
			return 0, false
		}
		rate := min((t.Failed*n+0.5)/(n+5/limit), limit*0.99) // as in pass
		log += t.Failed*math.Log(rate/limit) + (1-t.Failed)*(math.Log1p(-rate)-math.Log1p(-limit))
	}
	n = max(n, float64(s.MinRequests))
	return duration(max(n/t.canary(), warmTime.Seconds(), warmRequests/t.canary()*float64(t.Hosts)))
}

// growth is how fast the logarithm of the best bet grows, per second. The
// share is that of a pool, which few requests make uncertain.
func (t Traffic) growth(bad, margin float64) (best float64) {
	n := int(math.Round(min(max(t.pooled(), 1), 400)))
	w := float64(t.Weight) / float64(release.Full)
	canary, stable := t.canary()*bad, (t.Rate-t.canary())*t.Failed
	for _, factor := range factors {
		var gain, loss float64
		for others := range n {
			p := math.Exp(logChoose(int64(n-1), int64(others)) + float64(others)*math.Log(w) + float64(n-1-others)*math.Log1p(-w))
			gain += p * (math.Log(factor) - cost(factor, margin, others+1, n))
			loss += p * cost(factor, margin, others, n)
		}
		best = max(best, canary*gain-stable*loss)
	}
	return best
}

// cost is what any event costs a bet, in a pool of n of which so many are the canary's.
func cost(factor, margin float64, canary, n int) float64 {
	w := float64(canary) / float64(n)
	return math.Log1p((factor - 1) * margin * w / (margin*w + 1 - w))
}

func (t Traffic) canary() float64  { return t.Rate * float64(t.Weight) / float64(release.Full) }
func (t Traffic) perHost() float64 { return t.Rate / float64(t.Hosts) }

// pooled is how many units of a host are compared together.
func (t Traffic) pooled() float64 {
	return max(t.perHost()*lookEvery.Seconds(), min(minPool, t.perHost()*maxPool.Seconds()))
}

// duration of seconds, unless they are more than anybody waits.
func duration(seconds float64) (time.Duration, bool) {
	if !(seconds < 1e6) {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}
