package pipeline

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// clockAt is the clock that shows when from now on.
func clockAt(when string) func() time.Time {
	shown, err := time.Parse(time.RFC3339, when)
	if err != nil {
		panic(err)
	}
	began := time.Now()
	return func() time.Time { return shown.Add(time.Since(began)) }
}

func TestChangeWindows(t *testing.T) {
	b := newBed(t)
	b.steps()
	b.target.Windows = config.Windows{Allow: []string{"Mon-Fri 09:00-17:00"}, Timezone: "Europe/Berlin"}
	sunday, monday := clockAt("2026-11-22T12:00:00Z"), clockAt("2026-11-23T12:00:00Z")
	deploy := func(version, change string, now func() time.Time) (Result, error) {
		p := b.pipeline()
		p.Now = now
		return p.Deploy(t.Context(), DeployRequest{Bundle: b.bundle(version), Change: change})
	}
	res, err := deploy("1.0.0", "", sunday)
	if b.want(res, err, rollout.Failed, problem.Failed); err == nil || !strings.Contains(problem.HintOf(err), "--change") {
		t.Fatalf("on a Sunday: %v", err)
	}
	res, err = deploy("1.0.0", "", monday)
	b.want(res, err, rollout.Promoted, 0)
	b.forget()
	res, err = deploy("1.1.0", "CHG-4711", sunday)
	b.want(res, err, rollout.Promoted, 0)
	if story := b.story(); !strings.Contains(story, "CHG-4711, named by tester@here") {
		t.Errorf("nobody will know:\n%s", story)
	}
	p := b.pipeline()
	p.Now = sunday
	res, err = p.Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.RolledBack, 0)
	b.stable("1.0.0")
}

// TestWindowClosesWhileQueued: what waited for the lock asks again.
func TestWindowClosesWhileQueued(t *testing.T) {
	b, first := paused(t)
	p := b.pipeline()
	p.Owner, p.Target.Rollout.OnConcurrent = "somebody@else", config.ConcurrentQueue
	p.Target.Windows = config.Windows{Allow: []string{"Mon 09:00-17:00"}, Timezone: "UTC"}
	open, shut := clockAt("2026-11-23T12:00:00Z"), clockAt("2026-11-23T18:00:00Z")
	var late atomic.Bool
	p.Now = func() time.Time {
		if late.Load() {
			return shut()
		}
		return open()
	}
	waits := make(chan struct{}, 64)
	p.Emit = warnings(waits)
	bundle := b.bundle("1.2.0")
	second := b.begin(func() (Result, error) {
		defer close(waits)
		return p.Deploy(t.Context(), DeployRequest{Bundle: bundle})
	})
	<-waits
	late.Store(true)
	if _, err := b.pipeline().Ask(t.Context(), "promote"); err != nil {
		t.Fatal(err)
	}
	one, two := first.end(), second.end()
	b.want(one.res, one.err, rollout.Promoted, 0)
	if b.want(two.res, two.err, rollout.Failed, problem.Failed); two.err == nil || !strings.Contains(two.err.Error(), "closed for changes") {
		t.Errorf("after the window: %v", two.err)
	}
	b.stable("1.1.0")
}

func warnings(to chan<- struct{}) func(journal.Record) {
	return func(r journal.Record) {
		if r.Type == journal.TypeWarning {
			to <- struct{}{}
		}
	}
}

// A host that waits for a reboot is not begun with, and between batches the
// run is parked before it: nothing is half-way, and it goes on later.
func TestPendingReboot(t *testing.T) {
	b := newFleet(t)
	b.target.Rollout.Strategy, b.target.Rollout.KeepWarm = rollout.Rolling, 0
	b.target.Rollout.Batches = []config.Batch{{Size: config.Amount{N: 1}}, {Size: config.Amount{N: 100, Percent: true}}}
	last := b.machines["web3"]
	last.waits(rpc.Readiness{Reboot: "Windows Update"})
	res, err := b.deploy(t.Context(), "1.1.0", nil)
	if b.want(res, err, rollout.Failed, problem.Failed); err == nil || !strings.Contains(err.Error(), "web3 waits for a reboot (Windows Update)") {
		t.Fatalf("a deploy to a host that waits: %v", err)
	}
	p := b.pipeline()
	res, err = p.Deploy(t.Context(), DeployRequest{Bundle: b.bundle("1.1.0"), Change: "CHG-1"})
	b.want(res, err, rollout.Promoted, 0)
	if !strings.Contains(b.story(), "CHG-1, named by tester@here") {
		t.Errorf("nobody will know\n%s", b.story())
	}

	last.waits(rpc.Readiness{Reboot: "files to be replaced at boot", Renames: true}) // many hosts always have some
	p = b.pipeline()
	p.Emit = func(r journal.Record) {
		if r.Type == journal.TypeWeight {
			last.waits(rpc.Readiness{Updating: "Windows Installer"})
		}
		b.emit(r)
	}
	res, err = p.Deploy(t.Context(), DeployRequest{Bundle: b.bundle("1.2.0")})
	b.want(res, err, rollout.Paused, problem.Paused)
	if err == nil || !strings.Contains(err.Error(), "web3 is being updated (Windows Installer)") {
		t.Errorf("it was parked for %v", err)
	}
	b.stable("1.1.0")
	res, err = b.pipeline().Ask(t.Context(), "resume")
	b.want(res, err, rollout.Paused, problem.Paused)
	last.waits(rpc.Readiness{})
	res, err = b.pipeline().Ask(t.Context(), "resume")
	b.want(res, err, rollout.Promoted, 0)
	b.stable("1.2.0")
}

// TestWindowBetweenBatches: a run that comes out of its window goes no further.
func TestWindowBetweenBatches(t *testing.T) {
	b := newBed(t)
	p := b.pipeline()
	p.Target.Windows = config.Windows{Allow: []string{"Mon 09:00-17:00"}, Timezone: "UTC"}
	s := newStory("r1", p.Now, p.Emit)
	for change, open := range map[string]bool{"": false, "CHG-2": true} {
		p.Now = clockAt("2026-11-23T18:00:00Z")
		d := &driver{p: p, story: s, task: task{change: change}}
		if err := d.permit(t.Context(), rollout.Command{Verb: rollout.Permit}); (err == nil) != open {
			t.Errorf("change %q: %v", change, err)
		}
		p.Now = clockAt("2026-11-23T12:00:00Z")
		if err := d.permit(t.Context(), rollout.Command{Verb: rollout.Permit}); err != nil {
			t.Errorf("inside the window: %v", err)
		}
	}
	if !strings.Contains(b.story(), "CHG-2") {
		t.Error("nobody will know")
	}
}
