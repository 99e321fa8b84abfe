package simulate

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// load is one host's clients. Each comes with an address of its own, and none
// waits for another one's answer.
func (w *world) load(ctx context.Context, h *machine) {
	var clients sync.WaitGroup
	defer clients.Wait()
	for n := 0; ctx.Err() == nil; n++ {
		clients.Go(func() { w.client(h, n%5000) })
		_ = sleep(ctx, 300*time.Millisecond)
	}
}

func (w *world) client(h *machine, n int) {
	status, version, err := h.ask(n)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.served++
	if err != nil || status != 200 {
		w.failed = append(w.failed, fmt.Sprintf("%.3f %s %d %s %v", time.Since(w.began).Seconds(), h.name, status, version, err))
	}
}

// judgeLoad: where nothing but controllers, guards and ways failed, no client
// noticed (P1).
func (w *world) judgeLoad() {
	w.mu.Lock()
	failed := slices.Clone(w.failed)
	w.mu.Unlock()
	if w.plan.harmless() && len(failed) > 0 {
		w.breaks("P1: %d of %d requests failed: %s", len(failed), w.served, failed[0])
	}
}

// watch looks at every router all the time. A weight that no controller could
// have renewed within its lease breaks P2; a route without stable is no route.
func (w *world) watch(ctx context.Context) {
	heard := map[string]time.Time{}
	for ctx.Err() == nil {
		for _, h := range w.hosts {
			for _, c := range w.controllers() {
				if c.heard(h.name) && h.guarded() {
					heard[h.name] = time.Now()
				}
				if at := c.links[h.name].arrived(); at.After(heard[h.name]) {
					heard[h.name] = at
				}
			}
			if at := h.guardSince(); at.After(heard[h.name]) {
				heard[h.name] = at // a guard gives a session what is left of its lease, by a clock that may be wrong
			}
			v, err := h.view()
			if err != nil {
				continue // it starts, or its host is down
			}
			if v.Stable == "" {
				w.breaks("%s: the route of %s has no stable", h.name, service)
			}
			if v.Weight > 0 && time.Since(heard[h.name]) > lease+3*time.Second {
				w.breaks("P2: %s gives %s to %s %v after anybody could renew that", h.name, v.Weight, v.Canary, time.Since(heard[h.name]))
			}
		}
		_ = sleep(ctx, 1500*time.Millisecond)
	}
}

// judgeRest looks at a fleet on which nothing is under way: each host has one
// stable release, which runs and gets all traffic, and no lease is left.
func (w *world) judgeRest(when string) pipeline.FleetStatus {
	c := w.controller("judge")
	st, err := c.p.Status(c.ctx)
	close(c.over)
	if err != nil {
		w.breaks("%s: status: %v", when, err)
		return st
	}
	for i, h := range w.hosts {
		if err := w.atRest(h, st.Hosts[i]); err != nil {
			w.breaks("%s: %s: %w", when, h.name, err)
		}
	}
	if _, err := c.p.History(context.Background()); err != nil {
		w.breaks("%s: the journals cannot be read: %v", when, err)
	}
	w.event("%s: %s, stable %s, behind %v", when, st.State, st.Stable, st.Behind)
	if !slices.Contains(named(), st.State) {
		w.breaks("%s: the fleet is %q", when, st.State)
	}
	w.judgeFleet(when, st)
	return st
}

func named() []rollout.State {
	return []rollout.State{rollout.Promoted, rollout.RolledBack, rollout.Aborted, rollout.Failed, rollout.Lost, rollout.Split, rollout.Paused}
}

func (w *world) atRest(h *machine, st pipeline.HostStatus) error {
	if st.Err != nil {
		return st.Err
	}
	s := st.Status
	v, err := h.view()
	sound := h.sound(s.Slots[s.Stable].Release)
	switch {
	case err != nil:
		return err
	case s.Session != nil:
		return fmt.Errorf("P2: run %s of %s still holds the session", s.Session.Run, s.Session.Owner)
	case s.Stable == "":
		return fmt.Errorf("there is no stable release")
	case v.Weight != 0 || v.Stable != s.Stable:
		return fmt.Errorf("P2: the router serves %s and gives %s %s; stable is %s", v.Stable, v.Canary, v.Weight, s.Stable)
	case !sound && h.scm.running(s.Stable.Service(service)):
		return fmt.Errorf("P4: stable runs from a folder that is damaged")
	case !sound:
		return nil // it waits for another release
	case !h.scm.running(s.Stable.Service(service)):
		return fmt.Errorf("stable (%s) does not run", s.Stable)
	case h.scm.running(s.Stable.Other().Service(service)) && s.WarmFor == 0 && s.Run.State != string(rollout.Paused):
		return fmt.Errorf("P3: slot %s runs and has no reason to: run %s is %s", s.Stable.Other(), s.Run.ID, s.Run.State)
	}
	return w.serves(h, v, s.Slots[s.Stable].Release)
}

// sound tells whether a release lies on the host as it was delivered.
func (h *machine) sound(r release.Release) bool {
	_, ok := whole(filepath.Join(h.layout.Programs, "services", service, "releases", r.Dir()))
	return ok
}

// unsound tells whether some host's stable release is damaged.
func (w *world) unsound(st pipeline.FleetStatus) bool {
	return slices.ContainsFunc(st.Hosts, func(h pipeline.HostStatus) bool {
		return !w.host(h.Host).sound(h.Status.Slots[h.Status.Stable].Release)
	})
}

// heal deploys anew where a host has nothing whole to run.
func (w *world) heal() {
	ctx, stop := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for _, h := range w.hosts {
		clients.Go(func() { w.load(ctx, h) })
	}
	c := w.controller("healer")
	c.deploy(third)
	c.wait()
	if c.res.State == rollout.RolledBack && (w.plan.dark() || w.plan.has("router")) {
		// A router that started with nothing to serve lets nobody through: a person who knows that asks for no evidence.
		c = w.controller("person")
		c.p.Target.Analysis.OnInsufficientData = "promoteWithoutEvidence"
		c.deploy(third)
		c.wait()
	}
	stop()
	clients.Wait()
	if c.res.State != rollout.Promoted {
		w.breaks("P4: a host with a damaged release stays so: the next deploy ended %s: %v", c.res.State, c.err)
	}
	time.Sleep(lease + time.Minute)
	w.judgeRest("after a deploy over damage")
}

// serves asks the host what it really answers with.
func (w *world) serves(h *machine, v router.View, want release.Release) error {
	status, version, err := h.ask(4999)
	if err == nil && (status != 200 || version != want.Version) && want.Version != errs {
		err = fmt.Errorf("answers %d, %q", status, version)
	}
	if err != nil {
		return fmt.Errorf("stable is %s, but a client sees: %w (%+v)", want.Version, err, v)
	}
	return nil
}

// judgeFleet: unless the fleet says that it is split, all hosts have the same
// release (P3), and it is one that some run has reported as its outcome.
func (w *world) judgeFleet(when string, st pipeline.FleetStatus) {
	versions := map[string]bool{}
	for _, h := range st.Hosts {
		versions[h.Status.Slots[h.Status.Stable].Release.Version] = true
	}
	if len(versions) > 1 && st.State != rollout.Split && !owed(st) {
		w.breaks("P3: %s the hosts are on %v, and the fleet calls itself %s, behind are %v", when, versions, st.State, st.Reason)
	}
	for bad := range versions {
		switch bad {
		case deaf, sick, crashes, errs:
			w.breaks("P6: %s release %s is stable", when, bad)
		}
	}
	w.judgeResults(when, versions)
}

// owed tells whether the fleet's last run says itself that it left those hosts
// behind which are on something else.
func owed(st pipeline.FleetStatus) bool {
	var named []string
	for _, h := range st.Hosts {
		if r := h.Status.Run; r != nil && r.ID == st.Run {
			named = append(named, r.Behind...)
		}
	}
	return len(st.Behind) > 0 && !slices.ContainsFunc(st.Behind, func(host string) bool { return !slices.Contains(named, host) })
}

// judgeResults compares what controllers said in the end with what is there.
// Where two of them took turns, only the last word counts.
func (w *world) judgeResults(when string, versions map[string]bool) {
	main := w.main
	if w.plan.overtaken && when == "after the run" {
		if r := w.rival; r.res.State != rollout.Promoted || !versions[third] {
			w.breaks("P5: the run of %s ended %s (%v), when one came back that had lost the lock", r.name, r.res.State, r.err)
		}
	}
	if main.isOver() && !main.isKilled() && !slices.Contains(named(), main.res.State) {
		w.breaks("%s: the run ended %q: %v", when, main.res.State, main.err)
	}
	if w.plan.rival != "" || len(w.plan.visits) > 0 || main.isKilled() || !main.isOver() {
		return
	}
	if w.plan.silent && !w.plan.batches && main.res.State == rollout.Promoted {
		w.breaks("P6: promoted without a single request")
	}
	switch main.res.State {
	case rollout.Promoted:
		if !versions[w.plan.version] || len(versions) != 1 {
			w.breaks("P3: %s the run was promoted, but the hosts are on %v", when, versions)
		}
	case rollout.RolledBack, rollout.Aborted, rollout.Failed:
		if !versions[first] || len(versions) != 1 {
			w.breaks("P3: %s the run ended %s (%v), but the hosts are on %v", when, main.res.State, main.err, versions)
		}
	}
}

// afterwards takes up what was left over, as a person would from another
// machine, and in the end goes back with nothing but the hosts (P9).
func (w *world) afterwards() {
	w.plan.twice, w.plan.lose = 0, 0
	c := w.controller("other")
	before, err := c.p.Status(c.ctx)
	if err != nil || w.err() != nil {
		close(c.over)
		return
	}
	switch split := before.State == rollout.Split; {
	case !split && len(before.Behind) > 0:
		c.sync()
		c.wait()
	case split || before.State == rollout.Paused:
		if w.seed%2 == 0 {
			c.rollback()
		} else {
			c.resume("promote")
		}
		c.wait()
	default:
		close(c.over)
	}
	time.Sleep(lease + time.Minute)
	w.plan.rival = "other" // results of before are history
	st := w.judgeRest("after another controller")
	if len(st.Behind) > 0 && w.err() == nil {
		w.breaks("P3: after another controller (%s, %v) hosts are behind: %v", c.res.State, c.err, st.Behind)
	}
	if w.unsound(st) && w.err() == nil {
		w.heal()
		return
	}
	w.goBack(st)
}

func (w *world) goBack(before pipeline.FleetStatus) {
	if w.plan.after != "rollback" || before.Stable.Version == first || w.err() != nil {
		return
	}
	if before.State == rollout.Lost { // the way back ends that run, and leaves stable alone
		c := w.controller("evening")
		c.rollback()
		c.wait()
		if c.res.State != rollout.RolledBack || c.res.Release != before.Stable {
			w.breaks("P9: a rollback after a lost run ended %s on %s: %v", c.res.State, c.res.Release, c.err)
			return
		}
	}
	c := w.controller("night")
	c.rollback()
	c.wait()
	back := release.Release{Version: first}
	for _, r := range before.Hosts[0].Status.Retained {
		if r.Release.Version == first {
			back = r.Release
		}
	}
	if slices.ContainsFunc(w.hosts, func(h *machine) bool { return !h.sound(back) }) && c.res.State == rollout.Failed {
		return // it cannot, and says so
	}
	if c.res.State != rollout.RolledBack {
		w.breaks("P9: the rollback from %s ended %s: %v", before.Stable, c.res.State, c.err)
		return
	}
	time.Sleep(lease + time.Minute)
	if st := w.judgeRest("after the rollback"); st.Stable == before.Stable {
		w.breaks("P9: after the rollback %s is still stable", st.Stable)
	}
}
