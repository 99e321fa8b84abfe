package config

import (
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

func TestSettings(t *testing.T) {
	var none time.Duration
	five := release.Weight(500)
	folder := t.TempDir()
	target := Target{
		Path: filepath.Join(folder, "shipper.yaml"), Environment: "prod",
		Service: Service{Name: "orders", Env: map[string]string{"TOKEN": "word"}, Args: []string{"word"}, Ports: Ports{Blue: 1, Green: 2}},
		Rollout: Rollout{
			Strategy: "canary", Steps: []Step{{SetWeight: &five}, {Pause: &none}}, LaterSteps: []Step{},
			MaxParallel: Amount{25, true}, Batches: []Batch{{Tags: map[string]string{"ring": "one"}}},
		},
		Trust:     Trust{Keys: []string{filepath.Join(folder, "keys", "a.pub")}},
		Transport: Transport{Password: "word"}, Bundles: Bundles{Token: "word"},
	}
	want := map[string]string{
		"service.ports.blue": "1", "service.ports.green": "2", "rollout.strategy": "canary", "rollout.steps": "2", "rollout.steps[0]": "5%",
		"rollout.steps[1]": "pause until promoted", "rollout.laterSteps": "0", "rollout.maxParallel": "25%", "rollout.batches": "1",
		"rollout.batches[0].tags.ring": "one", "trust.keys": "1", "trust.keys[0]": "keys/a.pub",
	}
	if got := target.Settings(); !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
