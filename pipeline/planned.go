package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// planFile is what this deployment would do to hosts that answer like this.
func (d *deployment) planFile(before map[string]rpc.ServiceStatus) PlanFile {
	t := d.p.Target
	out := PlanFile{
		Version: planVersion, Service: t.Service.Name, Environment: t.Environment,
		Made: d.p.Now().UTC(), By: d.p.Owner, Shipper: d.p.Version,
		Release: d.b.Release(), Strategy: t.Rollout.Strategy, Batches: t.Batches(),
		AllowDowngrade: d.req.AllowDowngrade, Hotfix: d.req.Hotfix, Irreversible: d.req.Irreversible, Settings: digested(t.Settings()),
	}
	for _, s := range t.Rollout.Steps {
		out.Steps = append(out.Steps, s.String())
	}
	out.Hosts = d.planned(before)
	return out
}

// planned is the hosts' part of it.
func (d *deployment) planned(before map[string]rpc.ServiceStatus) []PlannedHost {
	var out []PlannedHost
	for _, h := range d.f {
		st := before[h.Name]
		_, arch := h.target()
		p := PlannedHost{
			Name: h.Name, Address: h.Address, Arch: arch, Machine: h.hello.Machine, Revision: d.revision(h).ID(),
			Stable: st.Slots[st.Stable].Release, Was: st.Slots[st.Stable].Revision, State: committed(st),
		}
		if st.Run != nil {
			p.Run = st.Run.ID
		}
		out = append(out, p)
	}
	return out
}

// committed is a digest of what a host serves and where it would go back to.
// Weights, leases and what still runs are not in it, nor what else is kept:
// the guard prunes that when the old slot has cooled, and nobody did anything.
func committed(st rpc.ServiceStatus) release.Digest {
	back, _ := rollout.Previous(view(HostStatus{Status: st}))
	raw, err := json.Marshal([]any{st.Stable, st.Slots[st.Stable].Revision, back, st.Ports, st.Config})
	if err != nil { // only our own plain structs come here
		panic(err)
	}
	return release.Of(raw)
}

// digested keeps values out of a file that others may read.
func digested(settings map[string]string) map[string]string {
	out := map[string]string{}
	for at, value := range settings {
		out[at] = release.Of([]byte(at + "\x00" + value)).Short()
	}
	return out
}

// settingsDigest tells whether two runs had the same settings.
func (p *Pipeline) settingsDigest() release.Digest {
	raw, err := json.Marshal(p.Target.Settings())
	if err != nil { // a map of strings
		panic(err)
	}
	return release.Of(raw)
}

// openPlan takes from a plan what is to be released. A bundle that is named
// is only where it lies now.
func (d *deployment) openPlan() error {
	if d.req.Plan == "" {
		return nil
	}
	f, err := ReadPlan(d.req.Plan)
	if err != nil {
		return err
	}
	d.plan = &f
	d.req.AllowDowngrade, d.req.Hotfix, d.s.hotfix = f.AllowDowngrade, f.Hotfix, f.Hotfix
	d.req.Irreversible = d.req.Irreversible || f.Irreversible
	d.p.Target.Rollback.Irreversible = d.p.Target.Rollback.Irreversible || d.req.Irreversible
	if d.req.Bundle == "" && f.Bundle != "" {
		if _, err := os.Stat(f.Bundle); err == nil {
			d.req.Bundle = f.Bundle
		}
	}
	if d.req.Bundle == "" {
		d.req.Release = "=" + f.Release.Version
	}
	return nil
}

// asPlanned refuses unless the release and the configuration are the
// plan's; asHosts the same for what the hosts say.
func (d *deployment) asPlanned() error {
	if d.plan == nil {
		return nil
	}
	if got := d.b.Release(); got != d.plan.Release {
		return problem.New(problem.Verification, "give the bundle that was planned, with --bundle; or plan again", "apply plan %s: the bundle holds %s, the plan says %s", d.req.Plan, got, d.plan.Release)
	}
	return d.refusePlan(d.plan.settingsDiffer(d.planFile(nil)))
}

func (d *deployment) asHosts(now map[string]rpc.ServiceStatus, own string) error {
	if d.plan == nil {
		return nil
	}
	return d.refusePlan(d.plan.hostsDiffer(d.planned(now), own))
}

func (d *deployment) refusePlan(why []string) error {
	if len(why) == 0 {
		return nil
	}
	const most = 10
	if n := len(why); n > most {
		why = append(why[:most:most], fmt.Sprintf("and %d more", n-most))
	}
	return problem.New(problem.Failed, planAgain, "apply plan %s: it does not hold any more: %s", d.req.Plan, strings.Join(why, "; "))
}

// everyHost makes a run that applies a plan wait for all hosts: what does not
// answer can not be compared with it.
func (d *deployment) everyHost() (back func()) {
	if d.plan == nil {
		return func() {}
	}
	need := d.m.need
	d.m.need = len(d.f)
	return func() { d.m.need = need }
}

// Plan tells what a deploy would send and do, and changes nothing.
func (p *Pipeline) Plan(ctx context.Context, req DeployRequest) (Planned, error) {
	s := newStory("", p.Now, p.Emit)
	p.Target.Rollback.Irreversible = p.Target.Rollback.Irreversible || req.Irreversible
	p.warnIrreversible(s, plan(p.Target, nil))
	if err := p.closed(""); err != nil {
		s.note(journal.TypeWarning, "", err.Error())
	}
	b, err := p.bundle(ctx, req, s)
	if err != nil {
		return Planned{}, stopped(ctx, err)
	}
	defer b.Close()
	d := &deployment{p: p, b: b, s: s, req: req, f: p.fleet(), m: p.missing(), revisions: map[string]release.Revision{}}
	defer d.f.close()
	out := Planned{Release: b.Release()}
	if out.Travel, err = d.travel(ctx); err != nil {
		return out, stopped(ctx, reachProblem(err))
	}
	if why := p.unready(ctx, d.f.where(func(h *host) bool { return h.current() != nil }), s); why != "" {
		s.note(journal.TypeWarning, "", "a deploy would be refused now: "+why)
	}
	if req.Expect != nil {
		if out.Expect, err = d.forecast(ctx, *req.Expect); err != nil {
			return out, stopped(ctx, err)
		}
	}
	before, err := p.statuses(ctx, d.f)
	if err != nil {
		return out, stopped(ctx, err)
	}
	for _, h := range p.drift(ctx, d.f, before) {
		told := out.Travel[h.Host]
		for _, one := range h.Drift {
			told.Drift = append(told.Drift, journal.Drift(one))
		}
		out.Travel[h.Host] = told
	}
	if req.Record {
		out.File, err = d.recorded(before)
	}
	return out, stopped(ctx, err)
}

// recorded makes the file, of a deploy that would not be refused.
func (d *deployment) recorded(before map[string]rpc.ServiceStatus) (*PlanFile, error) {
	var err error
	if err := d.p.trusted(d.b); err != nil {
		return nil, err
	}
	if d.secrets, err = d.p.secrets(); err != nil {
		return nil, err
	}
	if err := d.render(); err != nil {
		return nil, err
	}
	if err := forwards(d.b.Release(), before, d.req); err != nil {
		return nil, err
	}
	f := d.planFile(before)
	if path := cmp.Or(d.req.Bundle, d.p.built); path != "" {
		f.Bundle, err = filepath.Abs(path)
	}
	return &f, err
}
