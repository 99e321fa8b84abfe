package rollout

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

func TestExposures(t *testing.T) {
	five, half, pause, forever := release.Weight(500), release.Weight(5000), time.Minute, time.Duration(0)
	judge := []Signal{{Name: "evidence", Kind: "evidence"}}
	tests := []struct {
		name string
		plan Plan
		want string
	}{
		{"canary", Plan{
			Strategy: Canary, Batches: [][]string{{"a", "b"}}, Signals: judge, SettleTime: 6 * time.Minute, Bake: 5 * time.Minute,
			Steps: []Step{{SetWeight: &five}, {Pause: &pause}, {Analysis: true}, {SetWeight: &half}, {Pause: &forever}},
		}, "1/1 5% 7m0s judged on 2; 1/4 50% 0s open on 2; 1/6 95% 11m0s judged on 2; "},
		{"extend", Plan{
			Strategy: Canary, Batches: [][]string{{"a"}, {"b"}}, Signals: judge, SettleTime: time.Minute, ProgressDeadline: 10 * time.Minute,
			Steps: []Step{{SetWeight: &half}, {Analysis: true}}, OnInsufficient: OnInsufficientExtend,
		}, "1/1 50% 10m0s judged on 1; 2/1 50% 10m0s judged on 1; "},
		{"a signal that starts later", Plan{
			Strategy: Canary, Batches: [][]string{{"a"}, {"b"}}, Signals: []Signal{{Name: "evidence", Kind: "evidence", StartingStep: 2}}, SettleTime: time.Minute,
			Steps: []Step{{SetWeight: &half}, {Pause: &pause}, {Analysis: true}},
		}, "1/1 50% 1m0s from 1 on 1; 1/3 50% 1m0s judged from 2 on 1; 2/1 50% 1m0s judged on 1; "},
		{"rolling", Plan{Strategy: Rolling, Batches: [][]string{{"a"}}, Signals: judge, SettleTime: time.Minute, Bake: time.Minute}, "1/1 100% 2m0s judged on 1; "},
		{"nothing waits", Plan{Strategy: BlueGreen, Batches: [][]string{{"a"}}}, ""},
	}
	for _, tt := range tests {
		all, err := tt.plan.Exposures()
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		got := ""
		for _, x := range all {
			got += fmt.Sprintf("%d/%d %s %s", x.Batch, x.Step, x.Weight, x.For)
			if x.Judged {
				got += " judged"
			}
			if x.Open {
				got += " open"
			}
			if x.Reached != everything && tt.plan.Signals[0].StartingStep > 0 {
				got += fmt.Sprintf(" from %d", x.Reached)
			}
			got += fmt.Sprintf(" on %d; ", len(x.Hosts))
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if _, err := (Plan{}).Exposures(); err == nil {
		t.Error("a plan that makes no sense has exposures")
	}
}
