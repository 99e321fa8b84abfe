package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// Sync brings the hosts that are behind to where the fleet is: to the release
// that was promoted without them, or back from one that the others left; and
// those that somebody else has changed back to what was deployed there. A
// host that keeps the revision needs no bundle. Those that still do not
// answer stay behind.
func (p *Pipeline) Sync(ctx context.Context, req DeployRequest) (Result, error) {
	s := newStory(newRun(p.Now()), p.Now, p.Emit)
	all := p.fleet()
	defer all.close()
	hosts := p.look(ctx, all)
	now := fleetStatus(hosts)
	res := Result{State: rollout.Failed, Run: s.run, Release: now.Stable}
	if err := mayCatchUp(hosts, now); err != nil {
		return res, stopped(ctx, err)
	}
	c := &catchUp{p: p, s: s, now: now, hosts: map[string]HostStatus{}, m: p.missing(), fresh: p.freshSecrets(s)}
	p.inspect(ctx, all, hosts)
	for _, h := range hosts {
		c.hosts[h.Host] = h
		if h.Err != nil {
			c.m.add(h.Host, h.Err)
		}
	}
	s.tellDrift(hosts)
	late := c.m.without(all).where(func(h *host) bool { return slices.Contains(now.Behind, h.Name) || len(c.hosts[h.Name].Drift) > 0 })
	res.Behind = c.m.names()
	if len(late) == 0 {
		s.note(journal.TypeWarning, "", now.Stable.String()+": nothing to catch up with"+c.m.except())
		res.State = rollout.Promoted
		return res, leftBehind(res.Behind, "nothing to catch up with on the others")
	}
	if err := c.equip(ctx, late, req); err != nil {
		return res, stopped(ctx, err)
	}
	defer c.close()
	return p.underRun(ctx, late, s, "sync", res, func(l *lease) (Result, error) { return c.run(ctx, late, l, res) })
}

// mayCatchUp refuses where it is not known what the fleet is meant to run.
func mayCatchUp(hosts []HostStatus, now FleetStatus) error {
	for _, h := range hosts {
		if s := h.Status.Session; h.Err == nil && s != nil {
			return problem.New(problem.Locked, lockHint(s), "sync: run %s is alive on %s", s.Run, h.Host)
		}
	}
	switch {
	case len(now.Hosts) > 0 && !slices.ContainsFunc(hosts, func(h HostStatus) bool { return h.Err == nil }):
		return reachProblem(firstError(hosts))
	case now.State == rollout.Split || now.State == rollout.Paused || now.State == rollout.Lost:
		return problem.New(problem.Failed, "`shipper resume` goes on with that run, `shipper rollback` ends it", "sync: run %s is %s", now.Run, now.State)
	case now.Stable.IsZero():
		return problem.New(problem.Failed, "shipper deploy", "sync: no release is committed anywhere")
	}
	return nil
}

// catchUp is one sync on its way.
type catchUp struct {
	p      *Pipeline
	s      *story
	now    FleetStatus
	hosts  map[string]HostStatus
	m      *missing
	d      *deployment // of hosts that do not keep the revision; nil: all do
	bundle *packaging.Bundle
	fresh  fresh
}

func (c *catchUp) close() {
	if c.bundle != nil {
		_ = c.bundle.Close() // it was only read
	}
}

// equip opens the fleet's release if some host does not keep it, and places
// the program where it is missing.
func (c *catchUp) equip(ctx context.Context, late fleet, req DeployRequest) error {
	bare := late.where(func(h *host) bool { _, ok := c.kept(h); return !ok })
	if len(bare) > 0 {
		if err := c.open(ctx, bare, req); err != nil {
			return err
		}
	}
	return late.where(func(h *host) bool { return h.current() == nil }).connect(ctx, true)
}

// kept is the fleet's revision on a host that still has it.
func (c *catchUp) kept(h *host) (release.Digest, bool) {
	if damaged(c.hosts[h.Name].Drift) {
		return "", false
	}
	for _, r := range c.hosts[h.Name].Status.Retained {
		if r.Release == c.now.Stable && !r.Committed.IsZero() {
			return r.Revision, true
		}
	}
	return "", false
}

// open finds the bundle of what the fleet runs, and no other, and makes the
// revisions of it; they must be the fleet's.
func (c *catchUp) open(ctx context.Context, bare fleet, req DeployRequest) error {
	if req.Bundle == "" && req.Release == "" {
		req.Release = "=" + c.now.Stable.Version
	}
	b, err := c.p.bundle(ctx, req, c.s)
	if err != nil {
		return err
	}
	c.bundle = b
	if b.Release() != c.now.Stable {
		return problem.New(problem.Verification, "give the bundle that was deployed, with --bundle", "sync: the fleet runs %s, the bundle holds %s", c.now.Stable, b.Release())
	}
	if err := c.p.trusted(b); err != nil {
		return err
	}
	c.d = &deployment{p: c.p, b: b, s: c.s, f: bare, m: &missing{why: map[string]error{}}, revisions: map[string]release.Revision{}}
	if c.d.secrets, err = c.p.secrets(); err != nil {
		return err
	}
	if err := c.d.render(); err != nil {
		return err
	}
	return c.same(bare)
}

// same refuses a configuration that is not the one the fleet runs with.
func (c *catchUp) same(bare fleet) error {
	for _, h := range bare {
		_, arch := h.target()
		for _, other := range c.p.fleet() {
			st := c.hosts[other.Name]
			slot := st.Status.Slots[st.Status.Stable]
			if _, there := other.target(); st.Err != nil || there != arch || slot.Release != c.now.Stable {
				continue
			}
			if mine := c.d.revision(h).ID(); mine != slot.Revision {
				return problem.New(problem.Failed, "use the configuration and secrets that were deployed, or deploy again: that brings all hosts to one state",
					"sync %s: with this configuration %s would be revision %s, %s runs %s", h.Name, c.now.Stable.Version, mine.Short(), other.Name, slot.Revision.Short())
			}
			break
		}
	}
	return nil
}

// run pushes what is missing and lets the engine do the rest. One host that
// fails keeps no other from catching up.
func (c *catchUp) run(ctx context.Context, late fleet, l *lease, res Result) (Result, error) {
	if c.d != nil {
		if err := c.d.pushAll(ctx, l); err != nil {
			return res, stopped(ctx, err)
		}
	}
	plan := c.p.flip(late, late)
	plan.MaxUnavailable = c.p.Target.Rollout.MaxUnavailable.Of(len(c.p.Target.Hosts))
	plan.MaxParallel, plan.Budget = c.p.Target.Rollout.MaxParallel.Of(len(c.p.Target.Hosts)), len(late)-1
	engine, err := rollout.New(plan)
	if err != nil {
		return res, problem.Wrap(problem.Failed, err, "plan the sync", "")
	}
	dr := newDriver(c.p, late, l, task{start: c.start, rejects: c.rejects, missing: c.m.names()}, c.s, engine)
	end := dr.drive(ctx)
	if end.State == rollout.RolledBack || end.State == rollout.Failed {
		res.Behind = union(late.names(), c.m.names())
		cause := hintOf(dr.problem(), "`shipper logs` shows what the service said")
		return res, problem.New(problem.Behind, cause, "sync: %s; nothing was changed on %s", end.Why, strings.Join(late.names(), ", "))
	}
	return dr.result(end, res)
}

func (c *catchUp) start(h *host) (rpc.Start, error) {
	if kept, ok := c.kept(h); ok {
		return c.fresh.into(c.p.startKept(kept, c.now.Stable)), nil
	}
	if c.d == nil {
		return rpc.Start{}, errors.New("the host does not keep the release any more")
	}
	return c.d.start(h)
}

// rejects: what the fleet was taken back from is bad here as well.
func (c *catchUp) rejects(h *host) bool {
	st := c.hosts[h.Name].Status
	here := st.Slots[st.Stable].Release
	for _, other := range c.hosts {
		for _, r := range other.Status.Retained {
			if r.Rejected && r.Release == here {
				return true
			}
		}
	}
	return false
}
