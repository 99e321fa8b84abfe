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

var t0 = time.Unix(1_700_000_000, 0)

// bench feeds one judge with looks at hosts, a second apart.
type bench struct {
	*Judge
	now   time.Time
	looks map[string]*Look
}

func newBench(signals []Signal, hosts ...string) *bench {
	b := &bench{Judge: NewJudge(signals, 0, hosts), now: t0, looks: map[string]*Look{}}
	for _, h := range hosts {
		b.looks[h] = &Look{Epoch: "1"}
		b.Observe(b.now, h, *b.looks[h])
	}
	b.Begin(b.now, release.Full)
	return b
}

// add brings requests and errors of both slots of a host.
func (b *bench) add(host string, cr, ce, sr, se int64) *bench {
	b.now = b.now.Add(time.Second)
	l := b.looks[host]
	l.Canary.Requests += cr
	l.Canary.Errors += ce
	l.Stable.Requests += sr
	l.Stable.Errors += se
	b.Observe(b.now, host, *l)
	return b
}

func (b *bench) verdict() Verdict { return b.Verdict(b.now) }

func ratio(limit float64) []Signal { return []Signal{{Name: "errors", Kind: Errors, MaxRatio: limit}} }

func want(t *testing.T, v Verdict, o Outcome, why string) {
	t.Helper()
	if v.Outcome != o || !strings.Contains(v.Why, why) {
		t.Fatalf("%s: %q, want %s: %q", v.Outcome, v.Why, o, why)
	}
}

func TestErrorRatio(t *testing.T) {
	delta := []Signal{{Name: "errors", Kind: Errors, MaxDelta: 0.01}}
	both := []Signal{{Name: "errors", Kind: Errors, MaxRatio: 0.05, MaxDelta: 0.01}}
	tests := []struct {
		name           string
		signals        []Signal
		cr, ce, sr, se int64
		want           Outcome
		why            string
	}{
		{"the sentence", ratio(0.01), 1000, 31, 3000, 6, Failed, "errors canary 3.1 % (31/1000) vs stable 0.2 % (6/3000), limit 1 %"},
		{"none of none", ratio(0.01), 0, 0, 0, 0, Inconclusive, "canary has 0 of 50 requests needed"},
		{"one early error", ratio(0.01), 3, 1, 100, 0, Inconclusive, "canary has 3 of 50"},
		{"clean but few", ratio(0.01), 49, 0, 1000, 0, Inconclusive, "49 of 50"},
		{"clean and enough", ratio(0.01), 50, 0, 1000, 0, Successful, "0 % (0/50)"},
		{"one of fifty may be chance", ratio(0.01), 50, 1, 1000, 0, Inconclusive, "2 % (1/50)"},
		{"half of fifty is not", ratio(0.01), 50, 25, 1000, 0, Failed, "50 % (25/50)"},
		{"at the limit", ratio(0.01), 1000, 10, 1000, 0, Successful, "1 % (10/1000)"},
		{"above, but not surely", ratio(0.01), 1000, 12, 1000, 0, Inconclusive, "1.2 %"},
		{"as bad as stable", delta, 1000, 200, 1000, 200, Successful, "limit stable + 1 %"},
		{"worse than stable", delta, 1000, 280, 1000, 200, Failed, "28 % (280/1000) vs stable 20 % (200/1000)"},
		{"good enough for any stable", delta, 1000, 2, 0, 0, Successful, "limit stable + 1 %"},
		{"no stable to compare with", delta, 1000, 200, 0, 0, Inconclusive, "stable has 0 of 50"},
		{"little stable to compare with", delta, 1000, 200, 10, 0, Inconclusive, "stable has 10 of 50"},
		{"worse than that little may be", delta, 1000, 500, 10, 0, Failed, "limit 37.9 % (the worst that stable may be"},
		{"one limit is enough to fail", both, 1000, 100, 0, 0, Failed, "limit 5 %"},
		{"both are needed to pass", both, 1000, 30, 0, 0, Inconclusive, "stable has 0 of 50"},
		{"tiny ratios keep their digits", ratio(0.0001), 1_000_000, 400, 0, 0, Failed, "0.04 % (400/1000000)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(tt.signals, "a", "b")
			b.add("a", tt.cr/2, tt.ce/2, tt.sr/2, tt.se/2)
			b.add("b", tt.cr-tt.cr/2, tt.ce-tt.ce/2, tt.sr-tt.sr/2, tt.se-tt.se/2)
			v := b.verdict()
			want(t, v, tt.want, tt.why)
			if m := v.Measured; len(m) != 1 || m[0].Canary.Requests != tt.cr || m[0].Stable.Errors != tt.se {
				t.Errorf("measured %+v", m)
			}
		})
	}
}

func latencies(n int64, d time.Duration, more ...any) Counts {
	c := Counts{Requests: n, Latency: make([]int64, release.LatencyBuckets)}
	c.Latency[release.LatencyBucket(d)] = n
	for i := 0; i < len(more); i += 2 {
		extra := int64(more[i].(int))
		c.Requests += extra
		c.Latency[release.LatencyBucket(more[i+1].(time.Duration))] += extra
	}
	return c
}

func TestLatency(t *testing.T) {
	const ms = time.Millisecond
	limit := Signal{Name: "latency", Kind: Latency, Percentile: 0.99, MaxLatency: 250 * ms}
	factor := Signal{Name: "latency", Kind: Latency, Percentile: 0.9, MaxFactor: 1.5}
	tests := []struct {
		name           string
		signal         Signal
		canary, stable Counts
		want           Outcome
		why            string
	}{
		{"fast", limit, latencies(1000, 20*ms), latencies(1000, 20*ms), Successful, "latency p99 canary 20 ms (1000) vs stable 20 ms (1000), limit 250 ms (0 above 250 ms, 1 % allowed)"},
		{"a slow tail", limit, latencies(950, 20*ms, 50, 900*ms), latencies(1000, 20*ms), Failed, "50 above 250 ms"},
		{"a tail within the percentile", limit, latencies(991, 20*ms, 9, 900*ms), latencies(1000, 20*ms), Successful, "9 above"},
		{"too few", limit, latencies(20, 900*ms), latencies(1000, 20*ms), Inconclusive, "canary has 20 of 50"},
		{"near the limit", limit, latencies(1000, 249*ms), latencies(0, ms), Successful, "0 above"},
		{"slower than stable", factor, latencies(1000, 40*ms), latencies(1000, 20*ms), Failed, "limit 1.5 × stable (1000 above 31 ms"},
		{"little slower than stable", factor, latencies(1000, 26*ms), latencies(1000, 20*ms), Successful, ""},
		{"no stable", factor, latencies(1000, 26*ms), latencies(10, 20*ms), Inconclusive, "stable has 10 of 50"},
		{"no histogram is no evidence", limit, Counts{Requests: 1000}, Counts{Requests: 1000}, Inconclusive, "canary has 0 of 50"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench([]Signal{tt.signal}, "a")
			b.Observe(b.now, "a", Look{Epoch: "1", Canary: tt.canary, Stable: tt.stable})
			want(t, b.verdict(), tt.want, tt.why)
		})
	}
}

func TestDeadCanaryNeedsNoMinimum(t *testing.T) {
	b := newBench(nil, "a", "b")
	want(t, b.add("a", 10, 10, 100, 0).verdict(), Inconclusive, "")
	want(t, b.add("b", 10, 10, 100, 1).verdict(), Failed, "the last 20 canary requests all failed, stable 0.5 % (1/200) meanwhile, limit 20 in a row")

	b = newBench(nil, "a") // one success breaks the row
	b.add("a", 19, 19, 0, 0).add("a", 5, 4, 0, 0)
	want(t, b.add("a", 19, 19, 0, 0).verdict(), Inconclusive, "")

	b = newBench(nil, "a") // stable fails too: the cause is shared
	want(t, b.add("a", 40, 40, 100, 5).verdict(), Inconclusive, "")
}

func TestHardRules(t *testing.T) {
	up := Instance{State: "running", PID: 4, Started: t0}
	tests := []struct {
		name string
		next Instance
		why  string
	}{
		{"same", up, ""},
		{"nobody could say", Instance{}, ""},
		{"other process", Instance{State: "running", PID: 5, Started: t0}, "a: canary restarted: process 4 is now 5"},
		{"same number, later start", Instance{State: "running", PID: 4, Started: t0.Add(time.Second)}, "restarted"},
		{"stopped", Instance{State: "stopped"}, "a: canary is stopped, must be running"},
		{"paused", Instance{State: "paused", PID: 4, Started: t0}, "a: canary is paused"},
		{"stopping", Instance{State: "stop_pending", PID: 4, Started: t0}, "stop_pending"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := NewHard()
			if why, broken := h.Observe("a", Look{Live: up}); broken {
				t.Fatal(why)
			}
			why, broken := h.Observe("a", Look{Live: tt.next})
			if broken != (tt.why != "") || !strings.Contains(why, tt.why) {
				t.Errorf("%v %q, want %q", broken, why, tt.why)
			}
		})
	}
}

func TestHardRulesOfDeadCanary(t *testing.T) {
	h := NewHard()
	look := Look{Epoch: "1", Canary: Counts{Requests: 500, Errors: 500}} // before the run
	for i := range 3 {
		if why, broken := h.Observe("a", look); broken {
			t.Fatalf("look %d: %s", i, why)
		}
		look.Canary.Requests += 9
		look.Canary.Errors += 9
		look.Stable.Requests += 100
	}
	if why, broken := h.Observe("a", look); !broken || !strings.HasPrefix(why, "a: the last 27 canary requests") {
		t.Errorf("%v %q", broken, why)
	}
}

func TestCountersOfTheTimeBeforeDoNotCount(t *testing.T) {
	b := newBench(ratio(0.01), "a")
	b.add("a", 100, 50, 0, 0)
	b.Begin(b.now, release.Full)
	want(t, b.verdict(), Inconclusive, "0 of 50")
	want(t, b.add("a", 60, 0, 0, 0).verdict(), Successful, "(0/60)")

	j := NewJudge(ratio(0.01), 0, []string{"a"})
	j.Begin(t0, release.Full)
	j.Observe(t0, "a", Look{Epoch: "1", Canary: Counts{Requests: 900, Errors: 900}})
	want(t, j.Verdict(t0), Inconclusive, "0 of 50")
}

func TestCounterReset(t *testing.T) {
	b := newBench(ratio(0.01), "a")
	b.add("a", 100, 0, 0, 0)
	b.Observe(b.now, "a", Look{Epoch: "2", Canary: Counts{Requests: 30}}) // restarted, counted 30 since
	b.Observe(b.now, "a", Look{Epoch: "2", Canary: Counts{Requests: 50}})
	want(t, b.verdict(), Successful, "(0/150)")
	b.Observe(b.now, "a", Look{Epoch: "2", Canary: Counts{Requests: 10}}) // went back without a new epoch
	want(t, b.verdict(), Successful, "(0/150)")
}

func TestSilentHostIsMissingData(t *testing.T) {
	b := newBench(ratio(0.01), "a", "b")
	b.add("a", 100, 0, 0, 0)
	want(t, b.verdict(), Successful, "")
	for range 11 {
		b.add("a", 10, 0, 0, 0)
	}
	want(t, b.verdict(), Errored, "no counters from b for 12s")
	b.add("a", 100, 60, 0, 0)
	want(t, b.verdict(), Failed, "errors canary") // what is there is enough to fail
}

func TestFailureLimit(t *testing.T) {
	s := ratio(0.01)
	s[0].FailureLimit, s[0].Interval = 2, time.Second
	b := newBench(s, "a")
	want(t, b.add("a", 100, 50, 0, 0).verdict(), Inconclusive, "failed measurement 1, 2 tolerated")
	want(t, b.verdict(), Inconclusive, "measurement 1") // not due yet
	want(t, b.add("a", 100, 50, 0, 0).verdict(), Inconclusive, "measurement 2")
	want(t, b.add("a", 100, 50, 0, 0).verdict(), Failed, "(150/300)")
	v := b.add("a", 10_000, 0, 0, 0).verdict()
	want(t, v, Failed, "(150/300)") // a verdict stands
	if v.Measured != nil {
		t.Errorf("measured %+v after the verdict", v.Measured)
	}
}

func TestDryRunDecidesNothing(t *testing.T) {
	s := append(ratio(0.01), Signal{Name: "trial", Kind: Errors, MaxRatio: 0.001, DryRun: true})
	s[0].MaxRatio = 0.9
	v := newBench(s, "a").add("a", 1000, 100, 0, 0).verdict()
	want(t, v, Successful, "errors canary")
	if len(v.Measured) != 2 || v.Measured[1].Outcome != Failed {
		t.Errorf("measured %+v", v.Measured)
	}
	want(t, newBench(s[1:], "a").add("a", 1000, 0, 0, 0).verdict(), Inconclusive, "no signal decides")
}

func TestIntervalsOfSignals(t *testing.T) {
	s := ratio(0.01)
	s[0].Interval = 5 * time.Second
	b := newBench(s, "a")
	measured := 0
	for range 20 {
		measured += len(b.add("a", 10, 0, 0, 0).verdict().Measured)
	}
	if measured != 4 {
		t.Errorf("measured %d times in 20 s, want 4", measured)
	}
}

// TestLateFailure: an hour of health does not hide what comes after it.
func TestLateFailure(t *testing.T) {
	s := ratio(0.01)
	s[0].Interval = 5 * time.Second
	b := newBench(s, "a")
	for range 3600 {
		want(t, b.add("a", 20, 0, 380, 0).verdict(), verdictSoFar(b), "")
	}
	for i := 1; i <= 60; i++ {
		if b.add("a", 20, 1, 380, 0).verdict().Outcome == Failed {
			return
		}
	}
	t.Error("5 % errors were not found within a minute")
}

func verdictSoFar(b *bench) Outcome {
	if b.now.Sub(t0) < 5*time.Second {
		return Inconclusive
	}
	return Successful
}

// TestFalseAlarms: a canary as good as a limit is far from is let through,
// with looks every second for ten minutes.
func TestFalseAlarms(t *testing.T) {
	const runs = 300
	rng := rand.New(rand.NewPCG(1, 2))
	failed := 0
	for range runs {
		b := newBench(ratio(0.01), "a")
		for range 600 {
			var errors int64
			for range 5 {
				if rng.Float64() < 0.001 {
					errors++
				}
			}
			b.add("a", 5, errors, 95, 0)
			if b.verdict().Outcome == Failed {
				failed++
				break
			}
		}
	}
	if failed > runs/50 {
		t.Errorf("%d of %d healthy canaries failed", failed, runs)
	}
}

func TestTail(t *testing.T) {
	for _, c := range []struct {
		e, n int64
		p    float64
	}{{1, 50, 0.01}, {3, 50, 0.01}, {31, 1000, 0.01}, {7, 10, 0.5}, {10, 10, 0.5}} {
		direct := 0.0
		for k := c.e; k <= c.n; k++ {
			direct += math.Exp(logChoose(c.n, k) + float64(k)*math.Log(c.p) + float64(c.n-k)*math.Log(1-c.p))
		}
		if got := tail(c.e, c.n, c.p); math.Abs(got-direct) > 1e-9*direct {
			t.Errorf("tail(%d, %d, %v) = %v, want %v", c.e, c.n, c.p, got, direct)
		}
	}
	if got := tail(3, 50, 0.01); math.Abs(got-0.01382) > 1e-5 {
		t.Errorf("tail(3, 50, 0.01) = %v, want 0.01382", got)
	}
	if got := tail(1_000_000, 50_000_000, 0.01); got != 0 && got > 1e-300 {
		t.Errorf("large counts: %v", got)
	}
}

func TestUpper(t *testing.T) {
	for _, c := range []struct {
		e, n int64
		want float64
	}{{0, 0, 1}, {0, 10, 0.36904}, {10, 10, 1}, {1, 20, 0.28869}, {2, 40, 0.19401}} {
		if got := upper(c.e, c.n); math.Abs(got-c.want) > 5e-4 {
			t.Errorf("upper(%d, %d) = %v, want %v", c.e, c.n, got, c.want)
		}
	}
}

func TestPercent(t *testing.T) {
	for in, want := range map[float64]string{0: "0 %", 0.031: "3.1 %", 0.01: "1 %", 0.00005: "0.005 %", 1: "100 %", 0.33333: "33.33 %", 0.1: "10 %"} {
		if got := percent(in); got != want {
			t.Errorf("percent(%v) = %q, want %q", in, got, want)
		}
	}
}

// FuzzJudge: whatever counters say, there is a verdict and no panic, and no
// success without the requests that it takes.
func FuzzJudge(f *testing.F) {
	f.Add(int64(100), int64(3), int64(200), int64(1), "1", 5, int64(7))
	f.Add(int64(-1), int64(math.MaxInt64), int64(math.MinInt64), int64(0), "", 5000, int64(-9))
	f.Fuzz(func(t *testing.T, cr, ce, sr, se int64, epoch string, buckets int, fill int64) {
		latency := make([]int64, min(max(buckets, 0), 4096))
		for i := range latency {
			latency[i] = fill
		}
		j := NewJudge([]Signal{{Name: "e", Kind: Errors, MaxRatio: 0.01, MaxDelta: 0.01}, {Name: "l", Kind: Latency, Percentile: 0.99, MaxLatency: time.Second, MaxFactor: 2}}, 0, []string{"a"})
		j.Observe(t0, "a", Look{})
		j.Begin(t0, release.Full)
		j.Observe(t0, "a", Look{Epoch: epoch, Canary: Counts{Requests: cr, Errors: ce, Latency: latency}, Stable: Counts{Requests: sr, Errors: se, Latency: latency}})
		v := j.Verdict(t0)
		if v.Outcome == Successful && v.Requests < DefaultMinRequests {
			t.Errorf("success with %d requests", v.Requests)
		}
		_ = fmt.Sprint(v)
	})
}
