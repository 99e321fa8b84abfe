package analysis

import (
	"math"
	"slices"
)

// factors are how many times more often events may happen on the canary: one
// bet on each, from a creeping defect to a dead canary.
var factors = [...]float64{1.5, 2, 3, 5, 10, 30, 100}

const (
	// atOnce is the part of the wealth that is bet from the first request on.
	// The rest is for canaries that turn bad later.
	atOnce = 0.5
	// restakes is by how much of what is left the later bet grows each minute:
	// 1/60, so that half of it is bet within three quarters of an hour, and
	// something is left to bet at any time.
	restakes = 60
)

// tally counts requests and, among them, events (errors, slow requests).
type tally struct{ canaryEvents, canary, stableEvents, stable int64 }

func (t *tally) plus(more tally) {
	t.canaryEvents += more.canaryEvents
	t.canary += more.canary
	t.stableEvents += more.stableEvents
	t.stable += more.stable
}

// mostRequests between two looks; more is no count.
const mostRequests = 1 << 40

// sane drops what only broken counters say. More events than requests are
// none: of a client that was counted in an earlier look a request fails now.
func (t tally) sane() tally {
	all := []int64{t.canaryEvents, t.canary, t.stableEvents, t.stable}
	if slices.Min(all) < 0 || slices.Max(all) > mostRequests {
		return tally{}
	}
	return t
}

// clean is what can be compared: events among as many requests.
func (t tally) clean() tally {
	t = t.sane()
	t.canaryEvents = min(t.canaryEvents, t.canary)
	t.stableEvents = min(t.stableEvents, t.stable)
	return t
}

// bet is wealth staked on "events fall into the canary more often than its
// share of the requests explains". It begins at 1, and if the canary is no
// worse than stable no way of looking at it makes it grow: the chance that it
// ever reaches 1/alpha is at most alpha. So it may be looked at after every
// request, and it reads as odds.
//
// later is all bets begun after the first together: those on the same factor
// win and lose alike, so their sum is one number, however many there are.
type bet struct {
	first, later [len(factors)]float64 // logarithms of E for each factor; of wealth for each factor
	total        tally
	late, lately tally // of the minute before, of this minute
}

func newBet() bet {
	var b bet
	for j := range b.later {
		b.later[j] = math.Inf(-1)
	}
	return b
}

// add takes what one host counted between two looks, and tells whether the
// wealth can have grown. margin is how many times stable's rate is still as good.
func (b *bet) add(t tally, margin float64) bool {
	t = t.clean()
	b.total.plus(t)
	b.lately.plus(t)
	if t.canaryEvents == 0 && t.stableEvents == 0 {
		return false
	}
	w := float64(t.canary) / (float64(t.canary) + float64(t.stable))
	share := margin * w / (margin*w + 1 - w) // of the events, if the canary is as bad as it may be
	for j, factor := range factors {
		d := math.Log1p((factor - 1) * share)
		gain := float64(t.canaryEvents)*(math.Log(factor)-d) - float64(t.stableEvents)*d
		b.first[j] += gain
		b.later[j] += gain
	}
	return t.canaryEvents > 0
}

// restake puts fresh wealth on every factor, and turns the minute over.
func (b *bet) restake(wealth float64) {
	for j := range b.later {
		b.later[j] = addLog(b.later[j], math.Log(wealth/float64(len(factors))))
	}
	b.late, b.lately = b.lately, tally{}
}

// log is the logarithm of the whole wealth; reserve is what is not bet yet.
func (b *bet) log(reserve float64) float64 {
	return addLog(addLog(b.early(), b.recent()), math.Log(reserve))
}

func (b *bet) early() float64 {
	sum := math.Inf(-1)
	for _, l := range b.first {
		sum = addLog(sum, l)
	}
	return sum + math.Log(atOnce/float64(len(factors)))
}

func (b *bet) recent() float64 {
	sum := math.Inf(-1)
	for _, l := range b.later {
		sum = addLog(sum, l)
	}
	return sum
}

// addLog is log(exp(x) + exp(y)) without leaving the range of numbers.
func addLog(x, y float64) float64 {
	if x < y {
		x, y = y, x
	}
	if math.IsInf(y, -1) {
		return x
	}
	return x + math.Log1p(math.Exp(y-x))
}

// pass is the opposite bet: that fewer of the canary's requests fail than
// limit allows. It begins at 1, and if the canary fails more its chance to
// ever reach 1/beta is at most beta.
type pass struct {
	log            float64
	errors, canary int64
}

// add takes errors of n requests. The rate bet on is what was seen before,
// begun at a tenth of the limit; wealth above the square of what is needed is
// thrown away, so that a canary which turns bad loses its pass soon.
func (p *pass) add(errors, n int64, limit, beta float64) {
	t := tally{canaryEvents: errors, canary: n}.sane()
	rate := min((float64(p.errors)+0.5)/(float64(p.canary)+5/limit), limit*0.99)
	p.log += float64(t.canaryEvents)*math.Log(rate/limit) +
		float64(t.canary-t.canaryEvents)*(math.Log1p(-rate)-math.Log1p(-limit))
	p.log = min(p.log, -2*math.Log(beta))
	p.errors += t.canaryEvents
	p.canary += t.canary
}
