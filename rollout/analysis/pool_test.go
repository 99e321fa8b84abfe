package analysis

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

// TestThinHostsAreCompared: many hosts with few requests each, looked at twice
// a second, tell as much as one host with all of them.
func TestThinHostsAreCompared(t *testing.T) {
	tests := []struct {
		name  string
		hosts int
		rps   float64
		most  float64 // seconds, on average
	}{
		{"one host", 1, 100, 26},
		{"twenty hosts", 20, 100, 32},
		{"one request a second", 1, 1, 2600},
	}
	for seed, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(21, uint64(seed)))
			var delays []float64
			for range 60 {
				delays = append(delays, thin(rng, tt.hosts, tt.rps/float64(tt.hosts)/2))
			}
			mean, _ := spread(delays)
			t.Logf("%s: %.1f s", tt.name, mean)
			if mean > tt.most {
				t.Errorf("5 %% errors are found after %.0f s on average, want %.0f s at most", mean, tt.most)
			}
		})
	}
}

// thin returns the seconds until 5 % errors are told from 0.1 %, where each
// look at a host brings few requests.
func thin(rng *rand.Rand, hosts int, perLook float64) float64 {
	e := newEvidence(evidenceOnly()[0])
	e.begin(500)
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"}[:hosts]
	for i := 1; i < 40_000; i++ {
		now := t0.Add(time.Duration(i) * time.Second / 2)
		for _, host := range names {
			n := binomial(rng, 1000, perLook/1000)
			c := binomial(rng, n, 0.05)
			e.observe(now, host, Counts{Requests: int64(c), Errors: int64(binomial(rng, c, 0.05))},
				Counts{Requests: int64(n - c), Errors: int64(binomial(rng, n-c, 0.001))})
		}
		if e.broken != "" {
			return float64(i) / 2
		}
	}
	return 20_000
}

// TestPoolsAreEmptied: what waits is compared when a step ends, and counts for
// the proof of the step at once.
func TestPoolsAreEmptied(t *testing.T) {
	e := newEvidence(evidenceOnly()[0])
	e.begin(500)
	e.observe(t0, "a", Counts{Requests: 2, Errors: 1}, Counts{Requests: 20})
	if e.errors.total != (tally{}) || e.pass.errors != 1 || e.pooled() != (tally{1, 2, 0, 20}) {
		t.Errorf("%+v compared, %+v wait, pass %+v", e.errors.total, e.pooled(), e.pass)
	}
	e.begin(release.Full)
	if e.errors.total != (tally{1, 2, 0, 20}) || e.pooled() != (tally{}) {
		t.Errorf("%+v compared, %+v wait", e.errors.total, e.pooled())
	}
	e.observe(t0, "a", Counts{Requests: 1}, Counts{Requests: 1})
	e.observe(t0.Add(maxPool), "a", Counts{}, Counts{})
	if e.pooled() != (tally{}) {
		t.Errorf("%+v wait after %s", e.pooled(), maxPool)
	}
}

// TestErrorOfALaterRequest: a client counts in the look of its first request,
// its error in a later one.
func TestErrorOfALaterRequest(t *testing.T) {
	e := newEvidence(evidenceOnly()[0])
	e.begin(5000)
	for i := range 40 {
		now := t0.Add(time.Duration(i) * time.Second)
		e.observe(now, "a", Counts{Drawn: true, Units: 1, Share: 10000}, Counts{Drawn: true, Units: 1})
		e.observe(now, "a", Counts{Drawn: true, UnitErrors: 1}, Counts{Drawn: true})
	}
	if e.pass.errors != 40 || e.broken == "" {
		t.Errorf("%d errors, %q", e.pass.errors, e.broken)
	}
}
