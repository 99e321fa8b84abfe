package analysis

import (
	"math"
	"time"

	"github.com/go-shipper/shipper/release"
)

// Defaults of a signal of kind Evidence.
const (
	defaultAlpha     = 0.001 // one false abort in a thousand good releases
	defaultBeta      = 0.05  // one bad step in twenty that passes
	defaultMaxErrors = 0.01
	defaultMargin    = 1.0
	defaultTolerance = 0.2
)

const (
	// warmTime and warmRequests of the canary on a host pass before its
	// latency counts there: it starts cold, stable does not. Errors count at once.
	warmTime     = 30 * time.Second
	warmRequests = 50
	// minHistory requests of stable make its quantiles.
	minHistory = 100
	// maxHistory is how many are remembered: then all counts are halved, so
	// that the quantiles follow the day.
	maxHistory = 50_000
)

// quantiles of stable's latency at which the canary is compared.
var quantiles = [...]float64{0.5, 0.9, 0.99}

// What part of the wealth is on errors, and on each quantile.
const (
	onErrors = 0.4
	onSlow   = (1 - onErrors) / float64(len(quantiles))
)

// evidence judges errors and latency of the canary by bets on the question in
// which arm events fall. The bets run as long as the release is looked at,
// through all weights and batches: one alpha for the whole of it. What lets a
// step pass begins anew with each.
type evidence struct {
	alpha, beta, limit, margin, tolerance float64

	errors  bet
	slow    [len(quantiles)]bet
	reserve float64 // wealth of each bet that is not staked
	begun   time.Time
	minute  time.Time // of the latest stake
	window  window    // all that the bets have seen
	hosts   map[string]*stratum
	broken  string // the verdict at the moment it was reached

	pass   pass
	weight release.Weight
	seen   tally // since Begin; events are not counted
	share  int64 // since Begin: what of seen is the canary's, in basis points each
}

// stratum is one host: its arms are compared with each other only.
type stratum struct {
	history  [release.LatencyBuckets]int64 // of stable, earlier looks only
	known    int64
	latest   time.Time // look
	first    time.Time // request of the canary
	requests int64     // of the canary
	pool     pool
}

func newEvidence(s Signal) *evidence {
	e := &evidence{
		alpha: orDefault(s.Alpha, defaultAlpha), beta: defaultBeta, limit: orDefault(s.MaxRatio, defaultMaxErrors),
		margin: orDefault(s.Margin, defaultMargin), tolerance: orDefault(s.Tolerance, defaultTolerance),
		hosts: map[string]*stratum{},
	}
	e.forget()
	return e
}

func orDefault(x, otherwise float64) float64 {
	if x == 0 {
		return otherwise
	}
	return x
}

// forget takes all bets back; what is known of stable's latency stays.
func (e *evidence) forget() {
	e.compareAll()
	e.errors, e.reserve = newBet(), 1-atOnce
	for i := range e.slow {
		e.slow[i] = newBet()
	}
	e.begun, e.minute, e.window, e.broken = time.Time{}, time.Time{}, window{}, ""
	e.begin(e.weight)
}

// begin starts the proof of a new step.
func (e *evidence) begin(w release.Weight) {
	e.compareAll()
	e.pass, e.seen, e.share, e.weight = pass{}, tally{}, 0, w
}

// observe takes what host counted since the last look at it.
func (e *evidence) observe(now time.Time, host string, canary, stable Counts) {
	s := e.hosts[host]
	if s == nil {
		s = &stratum{pool: pool{since: now}}
		e.hosts[host] = s
	}
	e.turn(now, canary.Requests)
	t := compared(canary, stable, e.weight == release.Full).sane()
	e.window.plus(t.of(canary, stable))
	e.share += canary.Share
	e.seen.plus(t)
	e.pass.add(t.canaryEvents, t.canary, e.limit, e.beta)
	if warm := s.warm(now) && s.known >= minHistory; warm != s.pool.warm {
		e.compare(now, s)
		s.pool.warm = warm
	}
	s.meet(now, canary.Requests)
	s.pool.add(t, canary.Latency, stable.Latency)
	if s.pool.full(now) {
		e.compare(now, s)
	}
}

// compareAll leaves nothing in the pools: a step or a batch is over.
func (e *evidence) compareAll() {
	for _, s := range e.hosts {
		e.compare(s.latest, s)
	}
}

// compare bets on what is in a host's pool, and empties it.
func (e *evidence) compare(now time.Time, s *stratum) {
	grown := e.errors.add(s.pool.tally, e.margin)
	grown = e.latency(s) || grown
	s.pool.empty(now)
	if grown && e.broken == "" && e.log() >= -math.Log(e.alpha) {
		e.broken = e.text(now)
	}
}

// compared is what the arms are compared by: what was drawn, where the router
// counts that. A canary that has all traffic (whole) by its role is drawn no more.
func compared(canary, stable Counts, whole bool) tally {
	if !canary.Drawn || whole && canary.Units == 0 && stable.Units == 0 && stable.Requests == 0 {
		return tally{canary.Errors, canary.Requests, stable.Errors, stable.Requests}
	}
	return tally{canary.UnitErrors, canary.Units, stable.UnitErrors, stable.Units}
}

// of gives both arms the requests and errors that are compared.
func (t tally) of(canary, stable Counts) (Counts, Counts) {
	canary.Requests, canary.Errors = t.canary, t.canaryEvents
	stable.Requests, stable.Errors = t.stable, t.stableEvents
	return canary, stable
}

// turn stakes some of the reserve once a minute, before that minute is seen.
func (e *evidence) turn(now time.Time, requests int64) {
	switch {
	case e.begun.IsZero() && requests <= 0:
	case e.begun.IsZero():
		e.begun, e.minute = now, now
	case now.Sub(e.minute) >= time.Minute:
		stake := e.reserve / restakes
		e.reserve -= stake
		e.errors.restake(stake)
		for i := range e.slow {
			e.slow[i].restake(stake)
		}
		e.minute = now
	}
}

// latency counts requests that were slower than stable used to be.
func (e *evidence) latency(s *stratum) (grown bool) {
	c, b := histogram(s.pool.canary[:]), histogram(s.pool.stable[:])
	if s.pool.warm {
		t := tally{canary: c.total(), stable: b.total()}
		for i, q := range quantiles {
			limit := histogram(s.history[:]).quantile(q)
			t.canaryEvents, t.stableEvents = c.above(e.slowerThan(limit)), b.above(limit)
			grown = e.slow[i].add(t, defaultMargin) || grown
		}
	}
	s.learn(b)
	return grown
}

func (e *evidence) slowerThan(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + e.tolerance))
}

func (s *stratum) warm(now time.Time) bool {
	return s.requests >= warmRequests && now.Sub(s.first) >= warmTime
}

// meet counts the canary's requests until it is warm.
func (s *stratum) meet(now time.Time, requests int64) {
	s.latest = now
	if requests <= 0 {
		return
	}
	if s.first.IsZero() {
		s.first = now
	}
	s.requests = min(s.requests+min(requests, warmRequests), warmRequests)
}

func (s *stratum) learn(stable histogram) {
	total := stable.total()
	if total <= 0 || total > mostRequests {
		return
	}
	for i, n := range stable {
		s.history[i] += n
	}
	for s.known += total; s.known > maxHistory; {
		s.known = 0
		for i := range s.history {
			s.history[i] /= 2
			s.known += s.history[i]
		}
	}
}

// log is the logarithm of the wealth of all bets together. The average of
// wealths is a wealth, however they depend on each other.
func (e *evidence) log() float64 {
	sum := e.errors.log(e.reserve) + math.Log(onErrors)
	for i := range e.slow {
		sum = addLog(sum, e.slow[i].log(e.reserve)+math.Log(onSlow))
	}
	return sum
}

// mismatch tells whether the canary gets another share of the requests than
// its weight says: then the two arms may not see the same requests. It takes
// five standard deviations, and a fifth of the smaller share.
func (e *evidence) mismatch() bool {
	w := float64(e.weight) / float64(release.Full)
	n := float64(e.seen.canary) + float64(e.seen.stable)
	if e.share > 0 && w < 1 { // a canary that warms up has less than its weight
		w = float64(e.share) / float64(release.Full) / n
	}
	if n == 0 || w <= 0 || w >= 1 {
		return false
	}
	off := math.Abs(float64(e.seen.canary)/n - w)
	return off > 0.2*min(w, 1-w) && off > 5*math.Sqrt(w*(1-w)/n)
}

// warm tells whether latency counts on some host.
func (e *evidence) warm(now time.Time) bool {
	for _, s := range e.hosts {
		if s.warm(now) {
			return true
		}
	}
	return false
}

// judge says how the release stands.
func (e *evidence) judge(now time.Time, minRequests int64) (Outcome, string) {
	n := e.seen.canary
	switch text := e.text(now); {
	case e.broken != "":
		return Failed, e.broken
	case e.mismatch():
		return Inconclusive, e.mismatchText()
	case n < minRequests:
		return Inconclusive, text + few("canary", n, minRequests)
	case e.pass.log < -math.Log(e.beta):
		return Inconclusive, text + e.passText()
	case !e.warm(now):
		return Inconclusive, text + " (the canary is warming up: its latency does not count yet)"
	default:
		return Successful, text + e.passText()
	}
}
