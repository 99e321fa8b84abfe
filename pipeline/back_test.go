package pipeline

import (
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/rollout"
)

// weights lists what a host was given, in order.
func (b *bed) weights() string {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, r := range b.records {
		var w journal.WeightSet
		if r.Type == journal.TypeWeight && decode(r, &w) == nil {
			out = append(out, w.Weight.String())
		}
	}
	return strings.Join(out, " ")
}

// TestColdReleaseIsNotFlooded: what was stopped gets its requests in steps,
// what is warm at once.
func TestColdReleaseIsNotFlooded(t *testing.T) {
	b := newBed(t)
	b.target.Rollback.Ramp = 30 * time.Millisecond
	b.steps()
	for _, v := range []string{"1.0.0", "1.1.0"} {
		res, err := b.deploy(t.Context(), v, nil)
		b.want(res, err, rollout.Promoted, 0)
	}
	b.forget()
	res, err := b.pipeline().Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.RolledBack, 0)
	if got := b.weights(); got != "100%" {
		t.Errorf("warm: weights %s", got)
	}

	b.target.Rollout.KeepWarm = 0
	res, err = b.deploy(t.Context(), "1.2.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.cooled()
	b.forget()
	res, err = b.pipeline().Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.RolledBack, 0)
	if got := b.weights(); got != "10% 25% 50% 100%" {
		t.Errorf("cold: weights %s", got)
	}
	b.stable("1.0.0")
}

// TestFastTrack: what was stable a short while ago needs no proof again.
func TestFastTrack(t *testing.T) {
	b := newBed(t)
	b.steps()
	for _, v := range []string{"1.0.0", "1.1.0"} {
		res, err := b.deploy(t.Context(), v, nil)
		b.want(res, err, rollout.Promoted, 0)
	}
	b.target.Rollout.FastTrack = time.Hour
	pause := time.Millisecond
	b.steps(config.Step{SetWeight: weight(5)}, config.Step{Pause: &pause})
	back := func(version string, env map[string]string, fast bool) {
		t.Helper()
		b.forget()
		p := b.pipeline()
		p.Target.Service.Env = env
		res, err := p.Deploy(t.Context(), DeployRequest{Bundle: b.bundle(version), AllowDowngrade: true})
		b.want(res, err, rollout.Promoted, 0)
		if told := strings.Contains(b.story(), "fast track"); told != fast || (b.weights() == "100%") != fast {
			t.Errorf("%s: fast track %v, weights %s, want %v", version, told, b.weights(), fast)
		}
	}
	b.target.Analysis.Signals = nil
	back("1.0.0", nil, true)
	back("1.1.0", map[string]string{"OTHER": "1"}, false) // another revision
	back("1.2.0", nil, false)
	b.target.Rollout.FastTrack = time.Nanosecond
	back("1.0.0", nil, false)
	b.target.Rollout.FastTrack = time.Hour
	res, err := b.pipeline().Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.RolledBack, 0)
	back("1.0.0", nil, false) // it was rolled back from
}
