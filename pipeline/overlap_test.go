package pipeline

import (
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// paused is a bed with 1.0.0, and a deploy of 1.1.0 that waits for a person.
func paused(t *testing.T) (*bed, *verb) {
	t.Helper()
	b := newBed(t)
	b.steps(config.Step{SetWeight: weight(5)}, config.Step{Pause: forever()})
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.forget()
	first := b.begin(func() (Result, error) { return b.deploy(t.Context(), "1.1.0", nil) })
	first.until(journal.TypePaused)
	return b, first
}

// meets deploys another version by another controller, as policy says.
func (b *bed) meets(version, policy string, hotfix bool) (*verb, <-chan string) {
	p := b.pipeline()
	p.Owner, p.Target.Rollout.OnConcurrent, p.Target.Rollout.Steps = "somebody@else", policy, nil
	p.Target.Rollout.HotfixSteps = []config.Step{}
	warned := make(chan string, 64)
	p.Emit = func(r journal.Record) {
		if r.Type == journal.TypeWarning {
			warned <- string(r.Data)
		}
	}
	bundle := b.bundle(version)
	return b.begin(func() (Result, error) {
		defer close(warned)
		return p.Deploy(b.t.Context(), DeployRequest{Bundle: bundle, Hotfix: hotfix})
	}), warned
}

func TestQueueWaitsForTheOtherRun(t *testing.T) {
	b, first := paused(t)
	second, warned := b.meets("1.2.0", config.ConcurrentQueue, false)
	if text := <-warned; !strings.Contains(text, "tester@here") {
		t.Errorf("waits for whom: %s", text)
	}
	if _, err := b.pipeline().Ask(t.Context(), "promote"); err != nil {
		t.Fatal(err)
	}
	one, two := first.end(), second.end()
	b.want(one.res, one.err, rollout.Promoted, 0)
	b.want(two.res, two.err, rollout.Promoted, 0)
	b.stable("1.2.0")
}

// TestQueuedButOvertaken: what waited is older than what came meanwhile.
func TestQueuedButOvertaken(t *testing.T) {
	b, first := paused(t)
	second, warned := b.meets("1.0.5", config.ConcurrentQueue, false)
	<-warned
	if _, err := b.pipeline().Ask(t.Context(), "promote"); err != nil {
		t.Fatal(err)
	}
	one, two := first.end(), second.end()
	b.want(one.res, one.err, rollout.Promoted, 0)
	if b.want(two.res, two.err, rollout.Failed, problem.Usage); two.err == nil {
		t.Error("brought an older version after a newer one")
	}
	b.stable("1.1.0")
}

func TestSupersedeAndHotfixEndTheOtherDeploy(t *testing.T) {
	for name, hotfix := range map[string]bool{"supersede": false, "hotfix": true} {
		t.Run(name, func(t *testing.T) {
			policy := config.ConcurrentSupersede
			if hotfix {
				policy = config.ConcurrentReject
			}
			b, first := paused(t)
			second, _ := b.meets("1.2.0", policy, hotfix)
			one, two := first.end(), second.end()
			b.want(one.res, one.err, rollout.Aborted, problem.Aborted)
			b.want(two.res, two.err, rollout.Promoted, 0)
			b.stable("1.2.0")
			if story := b.story(); !strings.Contains(story, "superseded by run "+two.res.Run) {
				t.Errorf("who ended it?\n%s", story)
			}
		})
	}
}

func TestNobodyWaitsForAFreeze(t *testing.T) {
	b := newBed(t)
	b.steps()
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	if err := b.pipeline().LockAcquire(t.Context(), "audit"); err != nil {
		t.Fatal(err)
	}
	for _, policy := range []string{config.ConcurrentReject, config.ConcurrentQueue, config.ConcurrentSupersede} {
		second, _ := b.meets("1.1.0", policy, false)
		if two := second.end(); two.err == nil || problem.KindOf(two.err) != problem.Locked {
			t.Errorf("%s: %v", policy, two.err)
		}
	}
	if err := b.pipeline().LockRelease(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.stable("1.0.0")
}

func TestHotfixTakesFewSteps(t *testing.T) {
	slow := []config.Step{{SetWeight: weight(5)}, {Pause: forever()}, {SetWeight: weight(50)}, {Analysis: true}, {SetWeight: weight(100)}}
	later := []config.Step{{SetWeight: weight(30)}}
	for want, r := range map[int64]config.Rollout{
		50: {Steps: slow}, 30: {Steps: slow, LaterSteps: later}, 20: {Steps: slow, LaterSteps: later, HotfixSteps: []config.Step{{SetWeight: weight(20)}}},
	} {
		if got := hotfixSteps(r); len(got) == 0 || int64(*got[0].SetWeight) != want*100 {
			t.Errorf("want %d percent, got %v", want, got)
		}
	}
	if got := hotfixSteps(config.Rollout{Steps: slow, HotfixSteps: []config.Step{}}); len(got) != 0 {
		t.Errorf("none are none: %v", got)
	}
}
