package pipeline

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// A run that went back is judged again from its journal: the same by the same
// settings, otherwise by others.
func TestReplay(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.target.Analysis.Alpha = 0.001
	b.target.Analysis.Signals = []config.Signal{{
		Name: "evidence", Interval: 100 * time.Millisecond, MinRequests: 20, Evidence: &config.EvidenceTest{MaxErrors: 0.01, Margin: 1, Tolerance: 0.2},
	}}
	b.load()
	if res, err := b.deploy(t.Context(), "1.0.0", nil); res.State != rollout.Promoted {
		t.Fatalf("first: %s, %v", res.State, err)
	}
	res, err := b.deploy(t.Context(), "1.1.0", map[string]string{"ORDERS_FAIL_RATIO": "0.5"})
	b.want(res, err, rollout.RolledBack, problem.RolledBack)
	last := func() journal.Replayed {
		t.Helper()
		steps, err := b.pipeline().Replay(t.Context(), res.Run)
		if err != nil || len(steps) == 0 {
			t.Fatalf("%+v, %v\n%s", steps, err, b.story())
		}
		return steps[len(steps)-1]
	}
	if v := last(); v.Outcome != "Failed" || !strings.Contains(v.Why, ":1 that the canary is worse, abort at 1000:1") || !strings.Contains(v.Step, "step ") {
		t.Errorf("by the same settings: %+v", v)
	}
	b.target.Analysis.Alpha = 1e-300
	if v := last(); v.Outcome != "Inconclusive" || !strings.Contains(v.Why, "abort at over 1000000:1") {
		t.Errorf("by another alpha: %+v", v)
	}
	b.target.Analysis.Signals = []config.Signal{{Name: "errors", Errors: &config.ErrorLimit{Max: 0.05}, MinRequests: 1, Interval: time.Millisecond}}
	if v := last(); v.Outcome == "Successful" || !strings.HasPrefix(v.Why, "errors canary ") {
		t.Errorf("by a limit: %+v", v)
	}
	if steps, err := b.pipeline().Replay(t.Context(), "20200101-000000-abcdef"); err == nil {
		t.Errorf("a run that never was: %+v", steps)
	}
}

// What is written down adds up to what was counted.
func TestLooksAddUp(t *testing.T) {
	t.Parallel()
	var total rollout.Counts
	before := rollout.Counts{}
	for i := range int64(5) {
		now := rollout.Counts{Requests: 10 * i, Errors: i, Drawn: true, Units: 9 * i, UnitErrors: i, Share: 500 * i, Latency: make([]int64, 300)}
		now.Latency[7], now.Latency[299] = 3*i, i
		data, err := json.Marshal(since(now, before))
		if err != nil {
			t.Fatal(err)
		}
		var c journal.Counts
		if err := json.Unmarshal(data, &c); err != nil {
			t.Fatal(err)
		}
		total, before = added(total, c), now
	}
	if total.Requests != 40 || total.Errors != 4 || total.Units != 36 || total.UnitErrors != 4 || total.Share != 2000 ||
		total.Latency[7] != 12 || total.Latency[299] != 4 || !total.Drawn {
		t.Errorf("%+v", total)
	}
}
