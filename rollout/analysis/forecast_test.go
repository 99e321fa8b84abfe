package analysis

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

// TestForecast: what a plan expects is what happens, by simulation, within a
// quarter.
func TestForecast(t *testing.T) {
	signal := Signal{Kind: Evidence}
	tests := []struct {
		name    string
		traffic traffic
	}{
		{"5 %", traffic{rps: 100, weight: 500, canary: 0.05, stable: 0.001}},
		{"50 %", traffic{rps: 100, weight: 500, canary: 0.5, stable: 0.001}},
		{"dead", traffic{rps: 100, weight: 500, canary: 1, stable: 0.001}},
		{"5 % against none", traffic{rps: 100, weight: 500, canary: 0.05}},
		{"1 %", traffic{rps: 100, weight: 500, canary: 0.01, stable: 0.001}},
		{"2 % against 1 %", traffic{rps: 100, weight: 500, canary: 0.02, stable: 0.01}},
		{"weight 25", traffic{rps: 100, weight: 2500, canary: 0.05, stable: 0.001}},
		{"weight 1", traffic{rps: 100, weight: 100, canary: 0.05, stable: 0.001}},
		{"weight 95", traffic{rps: 100, weight: 9500, canary: 0.05, stable: 0.001}},
		{"thin", traffic{rps: 10, weight: 500, canary: 0.05, stable: 0.001}},
		{"thin at 50", traffic{rps: 10, weight: 5000, canary: 0.05, stable: 0.001}},
		{"one a second", traffic{rps: 1, weight: 1000, canary: 0.5, stable: 0.001}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			runs := 400
			if testing.Short() || slowed {
				runs = 100
			}
			var delays []float64
			for run := range runs {
				s := tt.traffic
				s.rng = rand.New(rand.NewPCG(uint64(100+i), uint64(run)))
				delays = append(delays, float64(s.crossed(defaultAlpha, 20_000, nil)))
			}
			mean, _ := spread(delays)
			got, found := signal.Detect(Traffic{float64(tt.traffic.rps), 1, tt.traffic.weight, tt.traffic.stable}, tt.traffic.canary)
			t.Logf("%s: expected %.1f s, simulated %.1f s", tt.name, got.Seconds(), mean)
			if off := got.Seconds() / mean; !found || off < 0.75 || off > 1.25 {
				t.Errorf("expected %v, simulated %.1f s", got, mean)
			}
		})
	}
}

func TestForecastOfTheProof(t *testing.T) {
	signal := Signal{Kind: Evidence}
	for _, c := range []struct {
		name    string
		traffic Traffic
		least   time.Duration
		most    time.Duration
	}{
		{"0.1 %, 5 a second", Traffic{100, 1, 500, 0.001}, 70 * time.Second, 116 * time.Second}, // TestProofTimes: 93 s
		{"none fails", Traffic{100, 1, 500, 0}, 60 * time.Second, 90 * time.Second},
		{"a canary is warm first", Traffic{10_000, 1, 5000, 0.001}, warmTime, warmTime},
		{"thin on many hosts", Traffic{10, 50, 10 * release.Full / 100, 0}, 2000 * time.Second, 3000 * time.Second},
	} {
		if got, shown := signal.Prove(c.traffic); !shown || got < c.least || got > c.most {
			t.Errorf("%s: %v %v, want %v to %v", c.name, got, shown, c.least, c.most)
		}
	}
}

func TestNothingToExpect(t *testing.T) {
	s := Signal{Kind: Evidence}
	for name, traffic := range map[string]Traffic{
		"no better than stable": {100, 1, 500, 0.05}, "no stable": {100, 1, release.Full, 0.001}, "no traffic": {0, 1, 500, 0},
	} {
		if got, found := s.Detect(traffic, 0.05); found {
			t.Errorf("%s: found after %v", name, got)
		}
	}
	for name, traffic := range map[string]Traffic{"stable is above the limit": {100, 1, 500, 0.02}, "no traffic": {0, 1, 500, 0}} {
		if got, shown := s.Prove(traffic); shown {
			t.Errorf("%s: shown after %v", name, got)
		}
	}
	if got, found := s.Detect(Traffic{1, 10, 5000, 0}, 1); !found || got > time.Minute { // twenty in a row
		t.Errorf("dead: %v %v", got, found)
	}
}
