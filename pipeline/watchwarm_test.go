package pipeline

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// A release that turns bad after its commit goes back while the old slot is
// warm, by whoever watches.
func TestWatchTakesBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env      map[string]string
		tolerate int // failed measurements
		why      string
	}{
		"errors": {map[string]string{"ORDERS_FAIL_RATIO": "0.5", "ORDERS_FAIL_AFTER": "400"}, 1, "errors canary"},
		"dead":   {map[string]string{"ORDERS_FAIL_RATIO": "1", "ORDERS_FAIL_AFTER": "400"}, 1 << 20, "requests all failed"},
		"crash":  {map[string]string{"ORDERS_CRASH_AFTER": "400"}, 1 << 20, "web1: canary "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			b.steps()
			b.target.Analysis.Signals = []config.Signal{{Name: "errors", Errors: &config.ErrorLimit{Max: 0.02}, Interval: 100 * time.Millisecond, MinRequests: 20, FailureLimit: c.tolerate}}
			if res, err := b.deploy(t.Context(), "1.0.0", nil); res.State != rollout.Promoted {
				t.Fatalf("first: %s, %v", res.State, err)
			}
			if res, err := b.deploy(t.Context(), "1.1.0", c.env); res.State != rollout.Promoted {
				t.Fatalf("second: %s, %v", res.State, err)
			}
			b.stable("1.1.0")
			watch := b.begin(func() (Result, error) { return b.pipeline().Watch(t.Context()) })
			watch.until(journal.TypeLog) // it watches: now come the requests
			b.load()
			err := watch.end().err
			if problem.KindOf(err) != problem.RolledBack || !strings.Contains(err.Error(), c.why) {
				t.Errorf("it ended by %v\n%s", err, b.story())
			}
			st := b.stable("1.0.0")
			records, err := b.pipeline().Story(t.Context(), st.Run)
			if err != nil || !slices.ContainsFunc(records, func(r journal.Record) bool {
				return r.Type == journal.TypeVerdict && strings.Contains(string(r.Data), c.why)
			}) {
				t.Errorf("the hosts do not know why: %v, %v", records, err)
			}
		})
	}
}

// Nothing to watch is said, not passed over.
func TestWatchNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.target.Rollout.KeepWarm = 0
	b.steps()
	for _, version := range []string{"1.0.0", "1.1.0"} {
		if res, err := b.deploy(t.Context(), version, nil); res.State != rollout.Promoted {
			t.Fatalf("%s: %s, %v", version, res.State, err)
		}
	}
	if _, err := b.pipeline().Watch(t.Context()); err == nil || !strings.Contains(err.Error(), "not warm any more") {
		t.Errorf("it ended by %v", err)
	}
}
