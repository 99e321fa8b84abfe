package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

// traffic is one simulated host that is looked at every second.
type traffic struct {
	rng            *rand.Rand
	rps            int // both arms together
	weight         release.Weight
	canary, stable float64                                      // error ratios
	outage         float64                                      // error ratio of both arms in every tenth minute
	slow           func(rng *rand.Rand, canary bool) (took int) // bucket of a request; nil: no latencies
	latency        [2][]int64
}

// second returns what both arms did in second i.
func (s *traffic) second(i int) (canary, stable Counts) {
	pc, ps := s.canary, s.stable
	if s.outage > 0 && i%600 < 60 {
		pc, ps = s.outage, s.outage
	}
	n := binomial(s.rng, s.rps, float64(s.weight)/float64(release.Full))
	canary = Counts{Requests: int64(n), Errors: int64(binomial(s.rng, n, pc))}
	stable = Counts{Requests: int64(s.rps - n), Errors: int64(binomial(s.rng, s.rps-n, ps))}
	if s.slow != nil {
		canary.Latency, stable.Latency = s.took(0, n), s.took(1, s.rps-n)
	}
	return canary, stable
}

func (s *traffic) took(arm, n int) []int64 {
	if s.latency[arm] == nil {
		s.latency[arm] = make([]int64, release.LatencyBuckets)
	}
	h := s.latency[arm]
	clear(h)
	for range n {
		h[s.slow(s.rng, arm == 0)]++
	}
	return h
}

// binomial counts successes in n tries, jumping from one to the next.
func binomial(rng *rand.Rand, n int, p float64) int {
	switch {
	case p <= 0 || n == 0:
		return 0
	case p >= 1:
		return n
	}
	count, base := 0, math.Log1p(-p)
	for i := math.Floor(math.Log(1-rng.Float64()) / base); i < float64(n); i += 1 + math.Floor(math.Log(1-rng.Float64())/base) {
		count++
	}
	return count
}

// lognormal returns buckets of requests around 50 ms, sigma 0.8; change makes
// the canary's of them.
func lognormal(change func(*rand.Rand, time.Duration) time.Duration) func(*rand.Rand, bool) int {
	rng := rand.New(rand.NewPCG(5, 5))
	var tables [2][1 << 14]uint16
	for i := range tables[0] {
		d := time.Duration(50e6 * math.Exp(0.8*rng.NormFloat64()))
		tables[0][i] = uint16(release.LatencyBucket(d))
		tables[1][i] = uint16(release.LatencyBucket(change(rng, d)))
	}
	return func(rng *rand.Rand, canary bool) int {
		if canary {
			return int(tables[1][rng.Uint32N(1<<14)])
		}
		return int(tables[0][rng.Uint32N(1<<14)])
	}
}

func same(_ *rand.Rand, d time.Duration) time.Duration { return d }

// crossed runs one rollout until the evidence reaches 1/alpha, and returns
// the second, or 0.
func (s *traffic) crossed(alpha float64, seconds int, at func(i int)) int {
	e := newEvidence(Signal{Kind: Evidence, Alpha: alpha})
	e.begin(s.weight)
	for i := 1; i <= seconds; i++ {
		if at != nil {
			at(i)
		}
		if s.look(e, i); e.broken != "" {
			return i
		}
	}
	return 0
}

func (s *traffic) look(e *evidence, i int) {
	canary, stable := s.second(i)
	e.observe(t0.Add(time.Duration(i)*time.Second), "a", canary, stable)
}

// TestNullCrossing: a canary that is as good as stable is taken back in less
// than alpha of the rollouts, although it is judged every second for an hour.
func TestNullCrossing(t *testing.T) {
	alphas := [...]float64{10 * defaultAlpha, defaultAlpha} // the first is seen more often
	tests := []struct {
		name    string
		hours   int
		traffic traffic
	}{
		{"rare errors", 2000, traffic{rps: 100, canary: 0.001, stable: 0.001}},
		{"thin traffic", 2000, traffic{rps: 10, canary: 0.001, stable: 0.001}},
		{"common errors", 2000, traffic{rps: 100, canary: 0.01, stable: 0.01}},
		{"shared outage", 2000, traffic{rps: 100, canary: 0.001, stable: 0.001, outage: 0.2}},
		{"better canary", 1000, traffic{rps: 100, canary: 0.001, stable: 0.01}},
		{"errors and latency", 400, traffic{rps: 100, canary: 0.001, stable: 0.001, slow: lognormal(same)}},
	}
	for seed, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() || slowed {
				tt.hours /= 20
			}
			s := tt.traffic
			s.rng, s.weight = rand.New(rand.NewPCG(11, uint64(seed))), 500
			var alarms [len(alphas)]int
			for range tt.hours {
				e := newEvidence(Signal{Kind: Evidence, Alpha: alphas[0]})
				e.begin(s.weight)
				reached := 0
				for i := 1; i <= 3600 && reached < len(alphas); i++ {
					for s.look(e, i); reached < len(alphas) && e.broken != "" && e.log() >= -math.Log(alphas[reached]); reached++ {
						alarms[reached]++
					}
				}
			}
			t.Logf("%s: %d hours, alarms %v at alpha %v", tt.name, tt.hours, alarms, alphas)
			for i, alpha := range alphas {
				if float64(alarms[i]) > max(1, alpha*float64(tt.hours)) {
					t.Errorf("%d false alarms in %d hours, more than %v of them", alarms[i], tt.hours, alpha)
				}
			}
		})
	}
}

// TestDetection: how long a bad canary lives at the default alpha, in seconds
// from when it turns bad. mean and p95 are those of a single bet, rounded: what
// the reserve and the bets on latency cost must stay within a quarter.
func TestDetection(t *testing.T) {
	const ms = time.Millisecond
	twice := lognormal(func(_ *rand.Rand, d time.Duration) time.Duration { return 2 * d })
	tail := lognormal(func(rng *rand.Rand, d time.Duration) time.Duration {
		if rng.IntN(10) == 0 {
			d += 1000 * ms
		}
		return d
	})
	fine := lognormal(same)
	tests := []struct {
		name      string
		traffic   traffic
		good      int // seconds before it turns bad
		slow      func(*rand.Rand, bool) int
		mean, p95 float64
		seconds   int
	}{
		{name: "5 % errors", traffic: traffic{rps: 100, weight: 500, canary: 0.05, stable: 0.001}, mean: 18, p95: 38},
		{name: "dead", traffic: traffic{rps: 100, weight: 500, canary: 1, stable: 0.001}, mean: 1, p95: 2},
		{name: "5 % errors, stable has none", traffic: traffic{rps: 100, weight: 500, canary: 0.05}, mean: 15, p95: 31},
		{name: "1 % errors", traffic: traffic{rps: 100, weight: 500, canary: 0.01, stable: 0.001}, mean: 147, p95: 312},
		{name: "2 % vs 1 %", traffic: traffic{rps: 100, weight: 500, canary: 0.02, stable: 0.01}, mean: 465, p95: 941},
		{name: "5 % errors, thin traffic", traffic: traffic{rps: 10, weight: 500, canary: 0.05, stable: 0.001}, mean: 217, p95: 427},
		{name: "5 % errors at weight 25", traffic: traffic{rps: 100, weight: 2500, canary: 0.05, stable: 0.001}, mean: 6, p95: 12},
		{name: "5 % errors at weight 1", traffic: traffic{rps: 100, weight: 100, canary: 0.05, stable: 0.001}, mean: 75, p95: 168},
		{name: "5 % errors after 5 min", traffic: traffic{rps: 100, weight: 500, canary: 0.05, stable: 0.001}, good: 300, mean: 27},
		{name: "5 % errors after 20 min", traffic: traffic{rps: 100, weight: 500, canary: 0.05, stable: 0.001}, good: 1200, mean: 27},
		{name: "5 % errors after 45 min", traffic: traffic{rps: 100, weight: 500, canary: 0.05, stable: 0.001}, good: 2700, mean: 27},
		{name: "5 % errors after 3 h", traffic: traffic{rps: 100, weight: 500, canary: 0.05, stable: 0.001}, good: 10800, mean: 33},
		{name: "twice as slow", traffic: traffic{rps: 100, weight: 500, canary: 0.001, stable: 0.001, slow: fine}, good: 30, slow: twice, mean: 24, p95: 42},
		{name: "1 s more for 10 %", traffic: traffic{rps: 100, weight: 500, canary: 0.001, stable: 0.001, slow: fine}, good: 30, slow: tail, mean: 16, p95: 30},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			runs := 1000
			few := testing.Short() || slowed
			if few {
				runs = 60
			}
			var delays []float64
			bad := tt.traffic.canary
			for run := range runs {
				s := tt.traffic
				s.rng = rand.New(rand.NewPCG(uint64(i), uint64(run)))
				s.canary = s.stable
				took := s.crossed(defaultAlpha, tt.good+7200, func(at int) {
					if at == tt.good+1 {
						s.canary = bad
						if tt.slow != nil {
							s.slow = tt.slow
						}
					}
				})
				if took > tt.good {
					delays = append(delays, float64(took-tt.good))
				}
			}
			mean, p95 := spread(delays)
			t.Logf("%s: mean %.1f p95 %.0f of %d; a single bet %.0f and %.0f", tt.name, mean, p95, len(delays), tt.mean, tt.p95)
			slack := 1.25
			if few {
				slack = 1.5
			}
			if len(delays) < runs-1 || mean > tt.mean*slack+0.5 || tt.p95 > 0 && p95 > tt.p95*slack+1 {
				t.Errorf("found %d of %d, mean %.1f s, p95 %.0f s; want mean %.0f, p95 %.0f", len(delays), runs, mean, p95, tt.mean, tt.p95)
			}
		})
	}
}

// TestProofTimes: how long a good canary takes to show that less than 1 %
// fails: 0.1 % fail, 5 requests a second; and how often a bad one shows it.
func TestProofTimes(t *testing.T) {
	prove := func(rng *rand.Rand, failing float64, requests int) float64 {
		var p pass
		for n := 1; n <= requests; n++ {
			if p.add(int64(binomial(rng, 1, failing)), 1, defaultMaxErrors, defaultBeta); p.log >= -math.Log(defaultBeta) {
				return float64(n) / 5
			}
		}
		return 0
	}
	rng := rand.New(rand.NewPCG(3, 3))
	runs := 2000
	if testing.Short() || slowed {
		runs /= 10
	}
	var times []float64
	wrong := 0
	for range runs {
		times = append(times, prove(rng, 0.001, 1_000_000))
		if prove(rng, defaultMaxErrors, 5000) > 0 {
			wrong++
		}
	}
	mean, p95 := spread(times)
	median := times[runs/2]
	t.Logf("median %.0f s, mean %.0f s, p95 %.0f s; %d of %d at the limit passed", median, mean, p95, wrong, runs)
	if testing.Short() || slowed {
		return // too few to say more
	}
	if median > 62*1.25 || mean > 124*1.25 || p95 > 361*1.25 {
		t.Errorf("median %.0f s, mean %.0f s, p95 %.0f s", median, mean, p95)
	}
	if float64(wrong) > defaultBeta*float64(runs) {
		t.Errorf("%d of %d canaries at the limit passed", wrong, runs)
	}
}

// spread sorts delays and returns their mean and 95th percentile.
func spread(delays []float64) (mean, p95 float64) {
	if len(delays) == 0 {
		return math.Inf(1), math.Inf(1)
	}
	slices.Sort(delays)
	for _, d := range delays {
		mean += d / float64(len(delays))
	}
	return mean, delays[len(delays)*95/100]
}
