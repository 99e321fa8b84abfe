//go:build !windows

package host

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/release"
)

// helper puts a program into bin: this one with a few bytes more.
func (m *real) helper(t *testing.T, mark string) (release.Digest, string) {
	t.Helper()
	b, err := os.ReadFile(m.own)
	m.must(err)
	b = append(bytes.Clone(b), mark...)
	digest := release.Of(b)
	path := m.guard.helperPath(digest)
	m.must(os.MkdirAll(filepath.Dir(path), 0o700))
	m.must(os.WriteFile(path, b, 0o700))
	return digest, path
}

func (m *real) change(do string, helper release.Digest, version string) (rpc.RouterState, error) {
	return m.c.ChangeRouter(context.Background(), rpc.ChangeRouter{Do: do, By: "ann", Helper: helper, Version: version})
}

func (m *real) changed(do string, helper release.Digest, version string) rpc.RouterState {
	m.t.Helper()
	st, err := m.change(do, helper, version)
	m.must(err)
	return st
}

// TestRouterIsFollowedUnderLoad restarts and upgrades the router in the
// middle of a canary: no request is lost, the weight stays and ends in time.
func TestRouterIsFollowedUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	m := newReal(t)
	ctx := context.Background()
	if _, err := m.change(rpc.RouterRestart, "", ""); rpc.CodeOf(err) != rpc.CodeNotFound {
		t.Errorf("restart of no router: %v", err)
	}
	m.finish(m.begin("r1", "1.0.0"))
	stop := m.load()
	r := m.begin("r2", "1.1.0")
	r.weight(5000)
	epoch := m.epoch()
	service := routerA
	for range 3 {
		st := m.changed(rpc.RouterRestart, "", "")
		if st.Service != otherRouter(service) || !st.Changed {
			t.Errorf("after %s: %+v", service, st)
		}
		service = st.Service
		m.startsAtBoot(service)
		if got := m.traffic(); got.Weights[release.Green] != 5000 || !got.Leased {
			t.Errorf("traffic after a restart: %+v", got)
		}
	}
	newer, _ := m.helper(t, "newer")
	older, _ := m.helper(t, "older")
	same := m.changed(rpc.RouterLook, "", "").Helper
	if st := m.changed(rpc.RouterUpgrade, same, "1.0.0"); st.Changed || st.Version != "1.0.0" {
		t.Errorf("upgrade to itself: %+v", st)
	}
	if st := m.changed(rpc.RouterUpgrade, newer, "2.0.0"); !st.Changed || st.Helper != newer || st.Version != "2.0.0" {
		t.Errorf("upgrade: %+v", st)
	}
	if st := m.changed(rpc.RouterUpgrade, older, "1.5.0"); st.Changed || st.Helper != newer {
		t.Errorf("it was downgraded: %+v", st)
	}
	if got := m.traffic(); got.Weights[release.Green] != 5000 || !got.Leased || m.epoch() != epoch {
		t.Errorf("traffic after the upgrade: %+v, epoch %q was %q", got, m.epoch(), epoch)
	}
	r.weight(release.Full)
	m.finish(r)
	m.settled()
	t.Logf("%d requests", stop())
	if got, err := m.get(); err != nil || got != "1.1.0 stable s3cret slot=green" {
		t.Errorf("%q, %v", got, err)
	}
	last := m.acquire("x", "remove")
	m.must(m.c.Remove(ctx, rpc.Remove{Fenced: last.f}))
	if names, err := m.manager.List(ctx, ""); err != nil || len(names) != 0 {
		t.Errorf("services remain: %v, %v", names, err)
	}
}

func (m *real) epoch() string {
	m.t.Helper()
	c, err := m.c.Counters(context.Background(), rpc.ServiceRef{Service: app})
	m.must(err)
	return c.Epoch
}

func (m *real) traffic() rpc.Traffic {
	m.t.Helper()
	st := m.status()
	if st.Traffic == nil {
		m.t.Fatal("no traffic")
	}
	return *st.Traffic
}

// startsAtBoot checks that this router would, and the other one not.
func (m *real) startsAtBoot(name string) {
	m.t.Helper()
	if err := m.atBoot(name); err != nil {
		m.t.Error(err)
	}
}

func (m *real) atBoot(name string) error {
	for _, router := range []string{routerA, routerB} {
		want := scm.Manual
		if router == name {
			want = scm.Auto
		}
		spec, err := m.manager.Spec(context.Background(), router)
		if err != nil {
			return err
		}
		if spec.Start != want || (len(spec.Recovery) > 0) != (want == scm.Auto) {
			return fmt.Errorf("%s starts by %s with recovery %v, want %s", router, spec.Start, spec.Recovery, want)
		}
	}
	return nil
}

// settles waits until the router that serves is the one that would start at
// boot: a recovery action may still let the other one take over in between.
func (m *real) settles() {
	m.t.Helper()
	m.eventually("the router that serves starts at boot", func() bool {
		err := m.guard.ensureRouter(context.Background(), 0)
		if err == nil {
			var now rpc.RouterState
			if now, err = m.change(rpc.RouterLook, "", ""); err == nil {
				err = m.atBoot(now.Service)
			}
		}
		return err == nil
	})
}

// TestRouterThatCannotStartChangesNothing: the one that serves goes on.
func TestRouterThatCannotStartChangesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	m := newReal(t)
	m.finish(m.begin("r1", "1.0.0"))
	before := m.changed(rpc.RouterLook, "", "")
	broken := []byte("#!/bin/sh\nexit 3\n")
	digest := release.Of(broken)
	path := m.guard.helperPath(digest)
	m.must(os.MkdirAll(filepath.Dir(path), 0o700))
	m.must(os.WriteFile(path, broken, 0o700))
	stop := m.load()
	if _, err := m.change(rpc.RouterUpgrade, digest, "9.0.0"); err == nil {
		t.Error("a program that ends at once took over")
	} else {
		t.Log(err)
	}
	after := m.changed(rpc.RouterLook, "", "")
	if after.PID != before.PID || after.Service != before.Service {
		t.Errorf("before %+v, after %+v", before, after)
	}
	m.startsAtBoot(before.Service)
	t.Logf("%d requests", stop())
}

// TestCrashOfARouterDuringAHandOver kills either of the two at different
// moments: one of them serves afterwards.
func TestCrashOfARouterDuringAHandOver(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	m := newReal(t)
	m.finish(m.begin("r1", "1.0.0"))
	m.changed(rpc.RouterRestart, "", "") // makes the second service
	for i := range 6 {
		before := m.changed(rpc.RouterLook, "", "")
		victim := before.Service
		if i%2 == 1 {
			victim = otherRouter(victim)
		}
		done := make(chan error, 1)
		go func() { _, err := m.change(rpc.RouterRestart, "", ""); done <- err }()
		m.kill(victim, otherRouter(before.Service))
		err := <-done
		m.eventually("a router serves", func() bool {
			_, err := m.get()
			return err == nil
		})
		t.Logf("%s was killed: %v", victim, err)
		m.settles()
	}
}

// TestARouterThatDiesAsSoonAsItServes: the one before it finishes requests and
// serves no more, and the guard has not noted yet who is to start at boot.
func TestARouterThatDiesAsSoonAsItServes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	m := newReal(t)
	m.finish(m.begin("r1", "1.0.0"))
	before := m.changed(rpc.RouterLook, "", "").Service
	next := otherRouter(before)
	_, err := m.get() // on a kept connection, which it does not leave at once
	m.must(err)
	if now := m.changed(rpc.RouterRestart, "", "").Service; now != next {
		t.Fatalf("%s serves", now)
	}
	m.must(m.guard.tuneRouter(t.Context(), next, false))
	m.must(m.guard.tuneRouter(t.Context(), before, true))
	m.kill(next, next)
	m.must(m.guard.ensureRouter(t.Context(), 0)) // within its own time
	m.settles()
	if _, err := m.get(); err != nil {
		t.Error(err)
	}
}

// TestRouterGetsTimeForALongerDrain: a service that comes later may want a
// running router to end later, and one that wants less takes nothing away.
func TestRouterGetsTimeForALongerDrain(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	m := newReal(t)
	m.finish(m.begin("r1", "1.0.0"))
	m.changed(rpc.RouterRestart, "", "") // makes the second service
	before := m.changed(rpc.RouterLook, "", "")
	for _, drain := range []time.Duration{20 * time.Minute, time.Second} {
		m.must(m.guard.ensureRouter(t.Context(), drain))
		for _, name := range []string{routerA, routerB} {
			spec, err := m.manager.Spec(t.Context(), name)
			m.must(err)
			if want := 20*time.Minute + routerMargin; spec.StopTimeout != want || spec.PreshutdownTimeout != want {
				t.Errorf("%s after a drain of %s: %s to stop, %s to shut down, want %s", name, drain, spec.StopTimeout, spec.PreshutdownTimeout, want)
			}
		}
	}
	if after := m.changed(rpc.RouterLook, "", ""); after.PID != before.PID || after.Service != before.Service {
		t.Errorf("before %+v, after %+v", before, after)
	}
	m.startsAtBoot(before.Service)
}

// kill ends the victim as soon as the newcomer runs.
func (m *real) kill(victim, newcomer string) {
	m.t.Helper()
	_, err := m.manager.Wait(context.Background(), newcomer, func(s scm.Status) bool { return s.State == scm.Running })
	m.must(err)
	st, err := m.manager.Status(context.Background(), victim)
	m.must(err)
	if st.PID == 0 {
		return
	}
	p, err := os.FindProcess(int(st.PID))
	m.must(err)
	if err := p.Kill(); err != nil && err != os.ErrProcessDone {
		m.must(fmt.Errorf("kill %s: %w", victim, err))
	}
}
