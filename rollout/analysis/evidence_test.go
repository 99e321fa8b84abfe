package analysis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

func near(t *testing.T, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-6*max(1, math.Abs(want)) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestBetOnTen: 5 % of the requests, 3 of 4 errors: by hand,
// 3·(ln 10 − ln 1.45) − ln 1.45.
func TestBetOnTen(t *testing.T) {
	b := newBet()
	b.add(tally{3, 50, 1, 950}, 1)
	near(t, b.first[4], 5.421501)
	if factors[4] != 10 {
		t.Fatal("the fifth factor is not 10")
	}

	b = newBet() // the margin makes stable's share of the blame smaller
	b.add(tally{3, 50, 1, 950}, 2)
	share := 2 * 0.05 / (2*0.05 + 0.95)
	near(t, b.first[4], 3*math.Log(10)-4*math.Log(1+9*share))
}

// TestWealthOfAMinute: wealth begins at 1, stays 1 while it is staked, and the
// bets begun later are what they would be one by one.
func TestWealthOfAMinute(t *testing.T) {
	b, reserve := newBet(), 1-atOnce
	near(t, b.log(reserve), 0)
	for range 500 {
		stake := reserve / restakes
		b.restake(stake)
		reserve -= stake
		near(t, b.log(reserve), 0)
	}

	b, reserve = newBet(), 1-atOnce
	rng := rand.New(rand.NewPCG(1, 1))
	var separate []bet
	var stakes []float64
	for range 100 {
		stake := reserve / restakes
		b.restake(stake)
		separate, stakes, reserve = append(separate, newBet()), append(stakes, stake), reserve-stake
		look := tally{rng.Int64N(3), 5, rng.Int64N(9), 95}
		b.add(look, 1)
		for i := range separate {
			separate[i].add(look, 1)
		}
	}
	sum := math.Inf(-1)
	for i := range separate {
		sum = addLog(sum, math.Log(stakes[i]/atOnce)+separate[i].early())
	}
	near(t, b.recent(), sum)
}

// TestStakesComeFromTheReserve: minutes without events make no wealth.
func TestStakesComeFromTheReserve(t *testing.T) {
	e := newEvidence(evidenceOnly()[0])
	for i := range 300 {
		e.observe(t0.Add(time.Duration(i)*time.Minute), "a", Counts{Requests: 5}, Counts{Requests: 95})
		near(t, e.log(), 0)
	}
	if e.reserve > 0.01 {
		t.Errorf("after five hours %v is not bet", e.reserve)
	}
}

func randomTally(rng *rand.Rand) tally {
	c, s := rng.Int64N(200), rng.Int64N(2000)
	return tally{rng.Int64N(c + 1), c, rng.Int64N(s + 1), s}
}

func TestBetProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 2000 {
		look, margin := randomTally(rng), 1+rng.Float64()
		whole, split, before := newBet(), newBet(), newBet()
		double := look
		double.plus(look)
		whole.add(double, margin)
		split.add(look, margin)
		split.add(look, margin) // hosts and ticks of equal shares add up
		for j := range factors {
			near(t, split.first[j], whole.first[j])
		}
		if look.stableEvents < look.stable { // an error of stable never speaks against the canary
			before.add(look, margin)
			more := look
			more.stableEvents++
			after := newBet()
			after.add(more, margin)
			if after.early() > before.early() {
				t.Fatalf("%+v: %v, with one more %v", look, before.early(), after.early())
			}
		}
		quiet := newBet()
		if quiet.add(tally{0, look.canary, 0, look.stable}, margin); math.Abs(quiet.early()-math.Log(atOnce)) > 1e-12 {
			t.Fatalf("no events: %v", quiet.early())
		}
	}
}

// TestExpectation: for every split of a few requests, the wealth that a
// canary as good as stable can expect is at most what it was.
func TestExpectation(t *testing.T) {
	for _, c := range []struct{ canary, stable, events int64 }{{1, 1, 1}, {5, 95, 3}, {50, 50, 40}, {95, 5, 7}, {2, 3, 5}, {10, 0, 4}, {0, 10, 4}} {
		for _, margin := range []float64{1, 2} {
			expected, sum := [len(factors)]float64{}, 0.0
			for e := max(0, c.events-c.stable); e <= min(c.canary, c.events); e++ {
				p := math.Exp(logChoose(c.canary, e) + logChoose(c.stable, c.events-e) - logChoose(c.canary+c.stable, c.events))
				b := newBet()
				b.add(tally{e, c.canary, c.events - e, c.stable}, margin)
				sum += p
				for j := range expected {
					expected[j] += p * math.Exp(b.first[j])
				}
			}
			near(t, sum, 1)
			for j, x := range expected {
				if x > 1+1e-9 {
					t.Errorf("%+v, margin %v: expected %v on factor %v", c, margin, x, factors[j])
				}
			}
		}
	}
}

func TestAddLogHoldsItsRange(t *testing.T) {
	near(t, addLog(math.Log(2), math.Log(3)), math.Log(5))
	near(t, addLog(-1e6, 5), 5)
	near(t, addLog(5, math.Inf(-1)), 5)
	if x := addLog(math.Inf(-1), math.Inf(-1)); !math.IsInf(x, -1) {
		t.Errorf("nothing and nothing: %v", x)
	}
}

func evidenceOnly() []Signal { return []Signal{{Name: "evidence", Kind: Evidence}} }

// each adds the same second of a host n times; the others are looked at, too.
func (b *bench) each(n int, host string, cr, ce, sr, se int64) *bench {
	for range n {
		b.add(host, cr, ce, sr, se)
		for other, l := range b.looks {
			b.Observe(b.now, other, *l)
		}
	}
	return b
}

func TestEvidenceVerdicts(t *testing.T) {
	fresh := func() *bench {
		b := newBench(evidenceOnly(), "a", "b")
		b.Begin(b.now, 500)
		return b
	}
	want(t, fresh().verdict(), Inconclusive, "canary has 0 of 50 requests needed")
	want(t, fresh().each(5, "a", 5, 0, 95, 0).verdict(), Inconclusive, "errors canary 0 % (0/25) vs stable 0 % (0/475): evidence 1:1 that the canary is worse, abort at 1000:1 (canary has 25 of 50")
	want(t, fresh().each(40, "a", 5, 0, 95, 0).verdict(), Inconclusive, "canary 0 % (0/200) in this step: evidence 6.3:1 that less than 1 % fails, enough at 20:1")
	want(t, fresh().each(80, "a", 5, 0, 95, 0).verdict(), Successful, "that less than 1 % fails, enough at 20:1")
	want(t, fresh().each(10, "a", 100, 0, 1900, 0).verdict(), Inconclusive, "warming up")

	b := fresh().add("a", 100, 3, 2000, 6)
	if v := b.verdict(); v.Outcome == Failed {
		t.Fatalf("early: %+v", v)
	}
	v := b.add("b", 100, 30, 2000, 1).verdict()
	want(t, v, Failed, "errors canary 16.5 % (33/200) vs stable 0.18 % (7/4000): evidence ")
	want(t, v, Failed, ":1 that the canary is worse, abort at 1000:1")
	if v.Signal != "evidence" || len(v.Measured) != 1 || v.Measured[0].Canary.Errors != 33 {
		t.Errorf("%+v", v)
	}
	want(t, b.each(1000, "a", 100, 0, 1900, 100).verdict(), Failed, "(33/200)") // stands
	b.Forget(b.now, 500)
	want(t, b.verdict(), Inconclusive, "(0/0)")
}

// TestEvidenceNeedsNoInterval: what is proven is told at the next verdict.
func TestEvidenceNeedsNoInterval(t *testing.T) {
	s := evidenceOnly()
	s[0].Interval, s[0].FailureLimit = time.Hour, 5
	b := newBench(s, "a")
	b.Begin(b.now, 500)
	want(t, b.each(10, "a", 5, 0, 95, 0).verdict(), Inconclusive, "not measured yet")
	want(t, b.add("a", 19, 10, 200, 0).verdict(), Failed, "abort at 1000:1")

	s[0].DryRun = true
	b = newBench(s, "a")
	b.Begin(b.now, 500)
	v := b.add("a", 19, 15, 200, 0).verdict()
	want(t, v, Inconclusive, "no signal decides")
	if len(v.Measured) != 1 || v.Measured[0].Outcome != Failed {
		t.Errorf("measured %+v", v.Measured)
	}
}

// TestEvidenceGoesThroughSteps: a weight or a batch does not make a bad
// release good, but each step wants a proof of its own.
func TestEvidenceGoesThroughSteps(t *testing.T) {
	b := newBench(evidenceOnly(), "a", "b")
	b.Begin(b.now, 500)
	want(t, b.each(80, "a", 5, 0, 95, 0).verdict(), Successful, "")
	b.Begin(b.now, 2500)
	want(t, b.each(1, "a", 25, 0, 75, 0).verdict(), Inconclusive, "canary has 25 of 50")
	want(t, b.each(20, "a", 25, 0, 75, 0).verdict(), Successful, "")

	b = newBench(evidenceOnly(), "a", "b")
	b.Begin(b.now, 500)
	b.add("a", 50, 3, 950, 2)
	before := b.signals[0].evidence.log()
	b.Next([]string{"b"})
	b.looks["b"] = &Look{Epoch: "1"}
	b.Observe(b.now, "b", *b.looks["b"])
	b.Begin(b.now, 500)
	near(t, b.signals[0].evidence.log(), before)
	if before < math.Log(5) {
		t.Errorf("evidence %v before the batch", before)
	}
	want(t, b.add("b", 50, 4, 950, 2).verdict(), Failed, "(7/100) vs stable 0.21 % (4/1900)")
}

func TestSampleRatio(t *testing.T) {
	b := newBench(evidenceOnly(), "a")
	b.Begin(b.now, 500)
	want(t, b.each(200, "a", 10, 0, 90, 0).verdict(), Inconclusive, "sample ratio mismatch: canary got 10 % (2000/20000) of the requests, its weight is 5%: the arms can not be compared")
	want(t, b.add("a", 100, 60, 900, 0).verdict(), Failed, "errors canary") // bad enough is bad

	b = newBench(evidenceOnly(), "a")
	b.Begin(b.now, 9500)
	want(t, b.each(60, "a", 96, 0, 4, 0).verdict(), Successful, "")
	want(t, b.each(200, "a", 100, 0, 0, 0).verdict(), Inconclusive, "mismatch")
	b.Begin(b.now, release.Full)
	want(t, b.each(60, "a", 100, 0, 0, 0).verdict(), Successful, "")
}

func TestStableAboveTheLimit(t *testing.T) {
	b := newBench(evidenceOnly(), "a")
	b.Begin(b.now, 500)
	want(t, b.each(60, "a", 100, 3, 1900, 57).verdict(), Inconclusive, "(stable itself fails 3 %: raise maxErrors)")
}

// TestLatencyEvidence: errors count at once, latency only when both sides are
// warm, and only against what stable was before.
func TestLatencyEvidence(t *testing.T) {
	const ms = time.Millisecond
	look := func(b *bench, canary, stable time.Duration) {
		l := b.looks["a"]
		l.Canary.plus(latencies(20, canary))
		l.Stable.plus(latencies(180, stable))
		b.now = b.now.Add(time.Second)
		b.Observe(b.now, "a", Look{Epoch: l.Epoch, Canary: clone(l.Canary), Stable: clone(l.Stable)})
	}
	b := newBench(evidenceOnly(), "a")
	b.Begin(b.now, 1000)
	for range 30 {
		look(b, 400*ms, 20*ms) // cold
	}
	if l := b.signals[0].evidence.log(); math.Abs(l) > 1e-9 {
		t.Fatalf("evidence %v while the canary is cold", l)
	}
	for range 30 {
		look(b, 20*ms, 20*ms)
		look(b, 300*ms, 300*ms) // what slows both is no evidence
	}
	if v := b.verdict(); v.Outcome != Successful {
		t.Fatalf("%+v", v)
	}
	for i := 0; b.verdict().Outcome != Failed; i++ {
		if i > 30 {
			t.Fatal("a slow canary is not found")
		}
		look(b, 900*ms, 20*ms)
	}
	want(t, b.verdict(), Failed, "latency above 1.2 × stable's p")
}

func clone(c Counts) Counts {
	c.Latency = append([]int64(nil), c.Latency...)
	return c
}

func TestToleratedLatencyIsNoEvent(t *testing.T) {
	const ms = time.Millisecond
	for canary, events := range map[time.Duration]int64{20 * ms: 0, 24 * ms: 0, 30 * ms: 200} {
		e := newEvidence(evidenceOnly()[0])
		for i := range 40 {
			e.observe(t0.Add(time.Duration(i)*time.Second), "a", latencies(20, canary), latencies(180, 20*ms))
		}
		if got := e.slow[0].total; got.canaryEvents != events || got.canary != 200 || got.stableEvents != 0 {
			t.Errorf("%v against 20 ms: %+v, want %d", canary, got, events)
		}
	}
}

func TestLateVerdictNamesTheLatestMinutes(t *testing.T) {
	b := newBench(evidenceOnly(), "a")
	b.Begin(b.now, 500)
	b.each(3600, "a", 50, 1, 950, 19)
	for i := 0; b.verdict().Outcome != Failed; i++ {
		if b.add("a", 50, 10, 950, 19); i > 100 {
			t.Fatal("not found")
		}
	}
	v := b.verdict()
	want(t, v, Failed, " in the last 1m")
	if strings.Contains(v.Why, "/18") || v.Measured != nil {
		t.Errorf("%q counts the good hour", v.Why)
	}
}

// TestEvidenceOfANewEpoch: counters that begin anew are no errors that vanish
// or come twice.
func TestEvidenceOfANewEpoch(t *testing.T) {
	b := newBench(evidenceOnly(), "a")
	b.Begin(b.now, 500)
	b.each(10, "a", 50, 1, 950, 19)
	b.Observe(b.now, "a", Look{Epoch: "2", Canary: Counts{Requests: 50, Errors: 1}, Stable: Counts{Requests: 950, Errors: 19}})
	b.Observe(b.now, "a", Look{Epoch: "2", Canary: Counts{Requests: 5}, Stable: Counts{Requests: 95}}) // broken: nothing
	if got := b.signals[0].evidence.errors.total; got != (tally{11, 550, 209, 10450}) {
		t.Errorf("%+v", got)
	}
}

// TestLooksCostNoMemory: an hour of looks needs no more than the first.
func TestLooksCostNoMemory(t *testing.T) {
	s := traffic{rng: rand.New(rand.NewPCG(1, 1)), rps: 100, weight: 500, canary: 0.01, stable: 0.01, slow: lognormal(same)}
	e, i := newEvidence(evidenceOnly()[0]), 0
	e.alpha = 1e-300
	look := func() { i++; s.look(e, i) }
	look()
	if n := testing.AllocsPerRun(4000, look); n != 0 {
		t.Errorf("%v allocations a look", n)
	}
}

func TestOdds(t *testing.T) {
	for x, want := range map[float64]string{1: "1:1", 0.25: "0.25:1", 0.001: "below 0.01:1", 20: "20:1", 1067.9: "1067:1", 1000: "1000:1", 1e9: "over 1000000:1"} {
		if got := odds(math.Log(x)); got != want {
			t.Errorf("odds of %v are %q, want %q", x, got, want)
		}
	}
}

func TestEvidenceValidate(t *testing.T) {
	nan := math.NaN()
	for _, s := range []Signal{{Alpha: -1}, {Alpha: 1}, {Alpha: nan}, {MaxRatio: 1}, {Margin: -1}, {Margin: nan}, {Tolerance: 1000}, {Interval: -1}} {
		s.Name, s.Kind = "e", Evidence
		if s.Validate() == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
	if err := evidenceOnly()[0].Validate(); err != nil {
		t.Error(err)
	}
}

// FuzzEvidence: whatever counters say, wealth is a number, and nothing passes
// without requests.
func FuzzEvidence(f *testing.F) {
	f.Add(int64(100), int64(3), int64(200), int64(1), 384, int64(7), 3)
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), int64(1), int64(math.MaxInt64), 5000, int64(math.MaxInt64), 70)
	f.Fuzz(func(t *testing.T, cr, ce, sr, se int64, buckets int, fill int64, looks int) {
		latency := make([]int64, min(max(buckets, 0), release.LatencyBuckets))
		for i := range latency {
			latency[i] = max(fill, 0)
		}
		e := newEvidence(evidenceOnly()[0])
		for i := range min(max(looks, 0), 100) {
			now := t0.Add(time.Duration(i) * 40 * time.Second)
			e.observe(now, "a", Counts{Requests: cr, Errors: ce, Latency: latency}, Counts{Requests: sr, Errors: se, Latency: latency})
			if l := e.log(); math.IsNaN(l) || math.IsNaN(e.pass.log) {
				t.Fatalf("wealth %v, pass %v", l, e.pass.log)
			}
			if o, why := e.judge(now, DefaultMinRequests); o == Successful && e.seen.canary < DefaultMinRequests {
				t.Fatalf("success: %s", why)
			}
		}
		_ = fmt.Sprint(e.text(t0))
	})
}
