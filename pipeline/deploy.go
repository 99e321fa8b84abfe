package pipeline

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// Deploy takes a release to all hosts: lock, push, start beside the old one,
// smoke checks, traffic in steps, commit. Any bad signal before the commit
// takes every host back.
func (p *Pipeline) Deploy(ctx context.Context, req DeployRequest) (Result, error) {
	s := newStory(newRun(p.Now()), p.Now, p.Emit)
	p.Target.Rollback.Irreversible = p.Target.Rollback.Irreversible || req.Irreversible
	s.hotfix = req.Hotfix
	d := &deployment{p: p, s: s, req: req, f: p.fleet(), m: p.missing(), revisions: map[string]release.Revision{}}
	res := Result{State: rollout.Failed, Run: s.run}
	if err := p.mayBegin(s, req.Change); err != nil {
		return res, err
	}
	if err := p.readyHooks(); err != nil {
		return res, err
	}
	if err := d.openPlan(); err != nil {
		return res, err
	}
	var err error
	if d.secrets, err = p.secrets(); err != nil {
		return res, err
	}
	b, err := p.bundle(ctx, d.req, s)
	if err != nil {
		return res, stopped(ctx, err)
	}
	defer b.Close()
	d.b, res.Release, d.want, s.origin = b, b.Release(), b.Release(), provenance(b)
	if err := d.ready(ctx); err != nil {
		return res, stopped(ctx, err)
	}
	return d.run(ctx, res)
}

// ready makes all that needs no host, and refuses what can be refused without one.
func (d *deployment) ready(ctx context.Context) (err error) {
	if err := d.p.trusted(d.b); err != nil {
		return err
	}
	if d.questions, err = d.p.questions(d.b.Release()); err != nil {
		return err
	}
	if err := d.render(); err != nil {
		return err
	}
	if err := d.asPlanned(); err != nil {
		return err
	}
	if _, err := rollout.New(plan(d.p.Target, nil)); err != nil {
		return planProblem(err)
	}
	return d.p.hasBeenThrough(ctx, d.b.Release(), d.s)
}

// run reaches the hosts, waits for its turn and does the rest under the lock.
func (d *deployment) run(ctx context.Context, res Result) (_ Result, err error) {
	p, s, all := d.p, d.s, d.f
	defer all.close()
	whoMayMiss := d.everyHost()
	if d.f, err = p.reach(ctx, d.f, d.m, s); err != nil {
		return res, stopped(ctx, err)
	}
	whoMayMiss()
	before, err := p.statuses(ctx, d.f)
	if err != nil {
		return res, stopped(ctx, err)
	}
	if err := d.asHosts(before, ""); err != nil {
		return res, err
	}
	drift := p.drift(ctx, d.f, before)
	s.tellDrift(drift)
	if d.alreadyRunning(before) && len(drift) == 0 {
		s.note(journal.TypeWarning, "", d.b.Release().String()+": already running on all hosts"+d.m.except())
		res.State, res.Behind = rollout.Promoted, d.m.names()
		return res, leftBehind(res.Behind, "already running")
	}
	res.Behind = d.left(before)
	if err := forwards(d.b.Release(), before, d.req); err != nil {
		return res, err
	}
	if err := p.takeTurn(ctx, d.f, s, p.turn(d.req)); err != nil {
		return res, stopped(ctx, err)
	}
	return p.asRun(ctx, d.f, s, "deploy", res, func(l *lease) (Result, error) {
		return d.underLock(ctx, l, res)
	})
}

// deployment is one deploy on its way.
type deployment struct {
	p         *Pipeline
	b         *packaging.Bundle
	s         *story
	req       DeployRequest
	plan      *PlanFile // that it applies; nil: none
	f         fleet     // those who are there
	m         *missing  // the others
	secrets   map[string]string
	revisions map[string]release.Revision // by architecture
	questions map[string]question
	early     []rollout.Asked // what others asked for during the push

	want   release.Release              // what is released
	tried  *tried                       // the run that it goes on with; nil: none
	kept   map[string]rpc.RunStatus     // of that run, by host: hosts that have the release already
	before map[string]rpc.ServiceStatus // of a run that is tried again
}

func planProblem(err error) error {
	return problem.Wrap(problem.Usage, err, "plan the rollout", "correct rollout or analysis in shipper.yaml")
}

func (d *deployment) render() error {
	for _, h := range d.f {
		_, arch := h.target()
		if _, ok := d.revisions[arch]; ok {
			continue
		}
		t, err := d.b.Target(h.target())
		if err != nil {
			return err
		}
		r, err := d.p.revision(d.b.Manifest, t, d.secrets)
		if err != nil {
			return err
		}
		d.revisions[arch] = r
	}
	return nil
}

// left are the hosts that are not where the fleet is before the run.
func (d *deployment) left(before map[string]rpc.ServiceStatus) []string {
	var hosts []HostStatus
	for _, h := range d.f {
		hosts = append(hosts, HostStatus{Host: h.Name, Status: before[h.Name]})
	}
	return slices.Concat(fleetStatus(hosts).Left, d.m.names())
}

func (d *deployment) revision(h *host) release.Revision {
	_, arch := h.target()
	return d.revisions[arch]
}

// alreadyRunning: the revision, and the address and ports that are no part of it.
func (d *deployment) alreadyRunning(before map[string]rpc.ServiceStatus) bool {
	for _, h := range d.f {
		st := before[h.Name]
		slot := st.Slots[st.Stable]
		switch {
		case st.Session != nil, st.Stable == "",
			slot.Revision != d.revision(h).ID(), slot.Live.State != "running",
			!reflect.DeepEqual(st.Config, d.p.traffic()), st.Ports != d.p.ports():
			return false
		}
	}
	return true
}

// underLock pushes and lets the engine decide.
func (d *deployment) underLock(ctx context.Context, l *lease, res Result) (Result, error) {
	if err := d.stillMay(ctx); err != nil {
		return res, stopped(ctx, err)
	}
	if d.plan != nil {
		d.s.note(journal.TypeWarning, "", "applies the plan that "+d.plan.By+" made at "+d.plan.Made.Format(time.RFC3339))
	}
	if err := d.p.hooksAt(ctx, d.s, "beforePush", "deploy", res, nil); err != nil {
		return res, stopped(ctx, err)
	}
	if err := d.pushAll(ctx, l); err != nil {
		if ctx.Err() != nil || errors.Is(err, errAborted) {
			res.State = rollout.Aborted
		}
		return res, stopped(ctx, err)
	}
	if err := d.p.hooksAt(ctx, d.s, "afterPush", "deploy", res, nil); err != nil {
		return res, stopped(ctx, err)
	}
	if err := d.p.hooksAt(ctx, d.s, "beforeStart", "deploy", res, nil); err != nil {
		return res, stopped(ctx, err)
	}
	now, err := d.p.statuses(ctx, d.f) // what was seen before the lock may be over
	if err != nil {
		return res, stopped(ctx, err)
	}
	if err := d.p.verifies(now); err != nil {
		return res, err
	}
	first := map[string]bool{}
	for name, st := range now {
		first[name] = st.Stable == ""
	}
	steps := plan(d.p.Target, first)
	d.p.warnIrreversible(d.s, steps)
	if d.req.Hotfix {
		d.s.note(journal.TypeWarning, "", "hotfix: takes the steps of rollout.hotfixSteps")
		hotfix(&steps, d.p.Target.Rollout)
	}
	steps.Batches, steps.Spare = only(steps.Batches, d.f.names()), d.m.spare(len(d.f))
	if d.tried == nil {
		d.fastTrack(&steps, now)
	}
	engine, err := rollout.New(steps)
	if err != nil {
		return res, planProblem(err)
	}
	dr := newDriver(d.p, d.f, l, task{start: d.start, questions: d.questions, missing: d.m.names(), irreversible: d.p.Target.Rollback.Irreversible, change: d.req.Change, hooks: "deploy", release: d.want}, d.s, engine)
	dr.early = d.early
	res, err = dr.result(dr.drive(ctx), res)
	if res.State == rollout.Promoted {
		d.p.upgradeRouters(ctx, d.f, d.s)
	}
	return res, err
}

// stillMay looks again under the lock: who waited for it may have been
// overtaken by a newer version, or by the clock.
func (d *deployment) stillMay(ctx context.Context) error {
	if why := d.p.closed(d.req.Change); why != nil {
		return why
	}
	if err := d.p.hostsMayBegin(ctx, d.f, d.s, d.req.Change); err != nil {
		return err
	}
	now, err := d.p.statuses(ctx, d.f)
	if err != nil {
		return err
	}
	if d.tried != nil {
		return d.stillTried(now)
	}
	if err := d.asHosts(now, d.s.run); err != nil {
		return err
	}
	return forwards(d.b.Release(), now, d.req)
}

// pushAll pushes to all hosts; a request to abort ends it, and so does a lost
// lease if that host may not be missing.
func (d *deployment) pushAll(ctx context.Context, l *lease) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, h := range d.f {
		h.pushing(true)
		defer h.pushing(false)
	}
	pushed := make(chan error, 1)
	go func() { pushed <- d.pushEach(ctx) }()
	for {
		select {
		case err := <-pushed:
			if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
				err = cause
			}
			if err == nil {
				err = d.goOnWithout()
			}
			if err == nil {
				d.keep(ctx)
			}
			return remoteProblem(err, "push")
		case ev := <-l.events:
			switch ev := ev.(type) {
			case rollout.HostLost:
				if !d.mayMiss(ev.Host, ev.Err) {
					cancel(&hostError{Host: ev.Host, Err: ev.Err})
				}
			case rollout.Asked:
				d.s.tell(journal.TypeRequest, "", journal.Request{Kind: ev.Kind, By: ev.By})
				if ev.Kind == rollout.AskAbort {
					cancel(errAborted)
				}
				d.early = append(d.early, ev)
			}
		}
	}
}

// pushEach pushes to as many hosts at a time as are allowed. One that cannot
// be reached any more may go missing.
func (d *deployment) pushEach(ctx context.Context) error {
	limit := d.p.Target.Rollout.MaxParallel.Of(len(d.p.Target.Hosts))
	return d.f.few(ctx, limit, func(ctx context.Context, h *host) error {
		if d.kept[h.Name].Revision != "" {
			return nil
		}
		err := h.push(ctx, d.s.run, d.b, d.s)
		if err == nil && d.inTurns() {
			err = d.leaveRevision(ctx, h)
		}
		if err != nil && ctx.Err() == nil && (d.m.has(h.Name) || d.mayMiss(h.Name, err)) {
			return nil
		}
		return err
	})
}

// inTurns tells whether hosts start at different times, so that the run may be
// parked before some have.
func (d *deployment) inTurns() bool {
	r := d.p.Target.Rollout
	return len(d.f) > 1 && (len(d.p.Target.Batches()) > 1 || r.Strategy == rollout.Rolling || r.Strategy == rollout.Recreate)
}

// leaveRevision lets whoever goes on with the run start it on this host too.
func (d *deployment) leaveRevision(ctx context.Context, h *host) error {
	err := h.inSession(ctx, d.s.run, func() error {
		return h.call(ctx, d.p.Target.Rollback.Lease, func(c *rpc.Client) error {
			req, _ := d.start(h) // it only puts together what is there
			req.Fenced = h.fenced(d.s.run)
			return c.Keep(ctx, req)
		})
	})
	if rpc.CodeOf(err) == rpc.CodeUnsupported { // an older guard
		return nil
	}
	return err
}

// mayMiss books a host as missing if it is silent and the others suffice.
func (d *deployment) mayMiss(name string, why error) bool {
	return silent(why) && d.m.drop(name, why, d.f)
}

// goOnWithout leaves out the hosts that went missing.
func (d *deployment) goOnWithout() error {
	here := d.m.without(d.f)
	for _, h := range d.f {
		if d.m.has(h.Name) {
			d.s.note(journal.TypeWarning, h.Name, "went missing and is left behind: "+d.m.reason(h.Name))
		}
	}
	d.f = here
	return d.m.err(len(here))
}

// keep puts aside what was pushed; without it the next push takes longer.
func (d *deployment) keep(ctx context.Context) {
	for _, h := range d.f {
		if d.b == nil {
			return
		}
		t, err := d.b.Target(h.target())
		if err == nil {
			err = d.p.keep(ctx, d.b, t.Files)
		}
		if err != nil {
			d.s.note(journal.TypeLog, "", err.Error())
			return
		}
	}
}

func (d *deployment) start(h *host) (rpc.Start, error) {
	if r := d.kept[h.Name]; r.Revision != "" {
		return d.p.startKept(r.Revision, r.Release), nil
	}
	return rpc.Start{
		Revision: d.revision(h), Secrets: d.secrets, Ports: d.p.ports(),
		Traffic: d.p.traffic(), Timeout: d.p.Target.Service.StartTimeout,
	}, nil
}

func (p *Pipeline) ports() rpc.Ports {
	return rpc.Ports{Blue: p.Target.Service.Ports.Blue, Green: p.Target.Service.Ports.Green}
}

func (p *Pipeline) traffic() rpc.TrafficConfig {
	t := p.Target.Traffic
	return rpc.TrafficConfig{
		Router: t.Router, Listen: t.Listen, DrainTimeout: t.DrainTimeout, Boot: t.Boot, TunnelGrace: t.TunnelGrace, Firewall: t.Firewall, PreviewFirewall: t.PreviewFirewall, Public: public(t), Watch: watch(t),
	}
}

// reach connects the fleet, tells what answers, and gives those who do.
func (p *Pipeline) reach(ctx context.Context, all fleet, m *missing, s *story) (fleet, error) {
	for _, h := range all {
		s.tell(journal.TypeProgress, h.Name, journal.Progress{What: "connect"})
	}
	f, err := p.gather(ctx, all, true, m)
	if err != nil {
		return f, err
	}
	m.tell(s)
	for _, h := range f {
		s.tell(journal.TypeHost, h.Name, journal.HostInfo{
			Hostname: h.hello.Hostname, OS: h.hello.OS, Arch: h.hello.Arch,
			Helper: h.hello.Helper.Short(), Action: "connected",
		})
	}
	return f, nil
}

func (p *Pipeline) opening(s *story, verb string, r release.Release, f fleet) journal.RunStarted {
	strategy := p.Target.Rollout.Strategy
	if verb == "rollback" { // it goes back at once
		strategy = ""
	}
	return journal.RunStarted{
		Verb: verb, Service: p.Target.Service.Name, Environment: p.Target.Environment,
		Owner: p.Owner, Address: p.Address, Release: r,
		Strategy: strategy, Hosts: f.names(), Version: p.Version,
		Irreversible: verb == "deploy" && p.Target.Rollback.Irreversible,
		Settings:     p.settingsDigest(), Hotfix: s.hotfix, Retries: s.retries, Provenance: s.origin,
	}
}

func provenance(b *packaging.Bundle) *journal.Provenance {
	m := b.Manifest
	return &journal.Provenance{Commit: m.Commit, Builder: m.Builder, Toolchain: m.Toolchain, Signed: len(b.Attestation) > 0}
}

// closing writes the result for those who read the journal later; the command
// line shows its own.
func (p *Pipeline) closing(s *story, verb string, res Result, err error) {
	out := journal.Result{Verb: verb, State: string(res.State), Run: res.Run, Release: res.Release}
	if p.Exit != nil {
		out.Exit = p.Exit(res, err)
	}
	if err != nil {
		out.Error, out.Hint = err.Error(), problem.HintOf(err)
	}
	s.keep(journal.TypeResult, out)
}

var errAborted = errors.New("aborted by request")

// stopped turns what failed because a person stopped it into an abort.
func stopped(ctx context.Context, err error) error {
	var p *problem.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return problem.Wrap(problem.Aborted, context.Cause(ctx), "stopped", "")
	case errors.Is(err, errAborted):
		return problem.Wrap(problem.Aborted, err, "stopped", "")
	case errors.As(err, &p):
		return err
	}
	return remoteProblem(err, "talk to the hosts")
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
