package pipeline

import (
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// TestForecastOfAPlan: a first deploy has nothing to expect, traffic is
// counted where there is some, and given where it is not.
func TestForecastOfAPlan(t *testing.T) {
	b := newBed(t)
	b.target.Analysis.Signals = []config.Signal{{Name: "evidence", Evidence: &config.EvidenceTest{MaxErrors: 0.01, Margin: 1, Tolerance: 0.2}}}
	b.target.Analysis.OnInsufficientData = "pause"
	b.target.Analysis.MaxWait = 6 * time.Minute
	expect := func(by Expect) journal.Forecast {
		t.Helper()
		planned, err := b.pipeline().Plan(t.Context(), DeployRequest{Bundle: b.bundle("1.1.0"), Expect: &by})
		if err != nil {
			t.Fatal(err)
		}
		return *planned.Expect
	}
	if got := expect(Expect{Rate: 100}); !strings.Contains(got.Note, "first deploy") || len(got.Steps) != 0 {
		t.Errorf("%+v", got)
	}
	if res, err := b.deploy(t.Context(), "1.0.0", nil); err != nil {
		t.Fatal(res, err)
	}
	if got := expect(Expect{Count: time.Millisecond}); !strings.Contains(got.Note, "no request came") {
		t.Errorf("%+v", got)
	}
	got := expect(Expect{Rate: 100})
	if len(got.Steps) != 1 || got.Errors != usualErrors || !got.Assumed || got.Seconds != 0 {
		t.Fatalf("%+v", got)
	}
	if s := got.Steps[0]; s.Weight != 5000 || s.WaitSeconds != 360 || s.Thin != "" || s.ProofSeconds < 29 || len(s.Cases) != 3 || s.Cases[2].Failed < 5 {
		t.Errorf("%+v", s)
	}
	if thin := expect(Expect{Rate: 1}).Steps[0].Thin; !strings.Contains(thin, "the step waits 6m0s at most, then the run is paused; `analysis.maxWait: ") {
		t.Errorf("%q", thin)
	}
	b.load()
	for got = expect(Expect{Count: 100 * time.Millisecond}); got.Rate == 0; {
		got = expect(Expect{Count: 100 * time.Millisecond})
	}
	if got.Seconds != 0.1 || len(got.Steps) != 1 || len(got.Silent) != 0 {
		t.Errorf("%+v", got)
	}
	b.target.Traffic.Router = "none"
	if got := expect(Expect{Rate: 1}); !strings.Contains(got.Note, "no router") {
		t.Errorf("%+v", got)
	}
}

func TestThinTrafficOfAStep(t *testing.T) {
	proof := rollout.Signal{Kind: "evidence", MaxRatio: 0.01}
	d := &deployment{p: &Pipeline{Target: config.Target{Analysis: config.Analysis{MaxWait: 6 * time.Minute, OnInsufficientData: "fail"}}}}
	step := rollout.Exposure{Weight: 500, For: 6 * time.Minute, Judged: true}
	if got := d.thin(proof, rollout.Traffic{Rate: 100, Hosts: 1, Weight: 500, Failed: 0.05}, step, 0, false); !strings.Contains(got, "stable itself fails 5 %") || !strings.Contains(got, "goes back; a higher `maxErrors`") {
		t.Errorf("%q", got)
	}
	if got := d.thin(proof, rollout.Traffic{Rate: 10, Hosts: 1, Weight: 500, Failed: 0}, step, 12*time.Minute, true); got !=
		"too little traffic: the step waits 6m0s at most, then the run goes back; a weight of 10 % or `analysis.maxWait: 13m` would do" {
		t.Errorf("%q", got)
	}
	if got := d.thin(proof, rollout.Traffic{Rate: 0, Hosts: 1, Weight: 500, Failed: 0}, step, 0, false); !strings.HasPrefix(got, "too little traffic for any proof") {
		t.Errorf("%q", got)
	}
}

func TestRateOfAHost(t *testing.T) {
	at := time.Unix(100, 0)
	look := func(epoch string, after time.Duration, n int64) rpc.Counters {
		return rpc.Counters{Epoch: epoch, At: at.Add(after), Slots: map[release.Slot]rpc.SlotCounters{release.Blue: {Requests: n}}}
	}
	for name, c := range map[string]struct {
		early, late rpc.Counters
		rate        float64
		told        bool
	}{
		"counted":          {look("1", 0, 100), look("1", 5*time.Second, 600), 100, true},
		"nobody came":      {look("1", 0, 100), look("1", 5*time.Second, 100), 0, true},
		"router restarted": {look("1", 0, 100), look("2", 5*time.Second, 3), 0, false},
		"no router":        {rpc.Counters{}, rpc.Counters{At: at}, 0, false},
		"did not answer":   {look("1", 0, 100), rpc.Counters{}, 0, false},
	} {
		if rate, told := rateOf(c.early, c.late); rate != c.rate || told != c.told {
			t.Errorf("%s: %v %v", name, rate, told)
		}
	}
	before := map[string]rpc.ServiceStatus{"web1": {Stable: release.Blue}}
	all := map[string]rpc.Counters{"web1": {Slots: map[release.Slot]rpc.SlotCounters{release.Blue: {Requests: 2100, Canceled: 100, Status5xx: 20}, release.Green: {Requests: 50, Status5xx: 50}}}}
	if share, assumed := stableErrors(all, before); share != 0.01 || assumed {
		t.Errorf("%v %v", share, assumed)
	}
}
