package pipeline

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/rollout"
)

// TestDefaultJudgement: a configuration without signals is judged by evidence.
func TestDefaultJudgement(t *testing.T) {
	for more, want := range map[string]rollout.Signal{
		"": {Name: "evidence", Kind: "evidence", Alpha: 0.001, MaxRatio: 0.01, Margin: 1, Tolerance: 0.2,
			Interval: 5 * time.Second, FailureLimit: 1, MinRequests: 50},
		"analysis: {alpha: 0.01, signals: [{evidence: {maxErrors: 0.05, margin: 2, tolerance: 0.5}}]}\n": {Name: "evidence", Kind: "evidence",
			Alpha: 0.01, MaxRatio: 0.05, Margin: 2, Tolerance: 0.5, Interval: 5 * time.Second, FailureLimit: 1, MinRequests: 50},
		"analysis: {signals: [{errors: {max: 0.02}}]}\n": {Name: "errors", Kind: "errors", MaxRatio: 0.02,
			Interval: 5 * time.Second, FailureLimit: 1, MinRequests: 50},
	} {
		path := filepath.Join(t.TempDir(), "shipper.yaml")
		text := "service: {name: orders}\ntraffic: {listen: ':80'}\n" + more + "environments: {prod: {hosts: [web1], transport: {type: local}}}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		target, err := f.Target("prod")
		if err != nil {
			t.Fatal(err)
		}
		p := plan(target, nil)
		if !slices.Equal(p.Signals, []rollout.Signal{want}) {
			t.Errorf("%q: %+v, want %+v", more, p.Signals, want)
		}
		if _, err := rollout.New(p); err != nil {
			t.Error(err)
		}
	}
}
