package pipeline

import (
	"context"
	"slices"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

const deployInstead = "`shipper deploy` releases by the configuration as it is now"

// Retry goes on with the latest deploy where it failed: the same release by
// the same settings, on the hosts that have not got it. It is a run of its
// own. A host that started the release before keeps it; others get it from
// the bundle. run may be empty, or must be that deploy's.
func (p *Pipeline) Retry(ctx context.Context, run string, req DeployRequest) (Result, error) {
	s := newStory(newRun(p.Now()), p.Now, p.Emit)
	res := Result{State: rollout.Failed, Run: s.run}
	if err := p.mayBegin(s, req.Change); err != nil {
		return res, err
	}
	if err := p.readyHooks(); err != nil {
		return res, err
	}
	d := &deployment{p: p, s: s, req: req, f: p.fleet(), m: p.missing(), revisions: map[string]release.Revision{}, kept: map[string]rpc.RunStatus{}}
	defer d.f.close()
	hosts, err := p.answering(ctx, d.f, d.m)
	if err != nil {
		return res, stopped(ctx, reachProblem(err))
	}
	st := fleetStatus(hosts)
	for _, h := range hosts {
		if alive := h.Status.Session; alive != nil {
			return res, problem.New(problem.Locked, lockHint(alive), "retry: run %s is alive on %s", alive.Run, h.Host)
		}
	}
	if st.State == rollout.Paused && (run == "" || run == st.Run) {
		return p.Resume(ctx, "resume")
	}
	if d.tried, err = p.lastDeploy(ctx, run); err != nil {
		return res, stopped(ctx, err)
	}
	d.m.tell(s)
	return d.again(ctx, hosts, res)
}

// tried is a deploy that did not bring its release everywhere.
type tried struct {
	run   string
	began journal.RunStarted
}

// lastDeploy is the latest run, if it is a deploy that failed.
func (p *Pipeline) lastDeploy(ctx context.Context, run string) (*tried, error) {
	runs, err := p.History(ctx)
	if err != nil {
		return nil, err
	}
	known := slices.ContainsFunc(runs, func(e HistoryEntry) bool { return e.Started.Run == run })
	if len(runs) == 0 || run != "" && !known {
		return nil, problem.New(problem.Failed, "`shipper history` lists the runs", "retry: no such run is known: %q", run)
	}
	last := runs[len(runs)-1]
	out := &tried{run: last.Started.Run}
	if err := decode(last.Started, &out.began); err != nil {
		return nil, problem.Wrap(problem.Failed, err, "retry", deployInstead)
	}
	var end journal.Result
	if last.Result.Type == journal.TypeResult {
		if err := decode(last.Result, &end); err != nil {
			return nil, problem.Wrap(problem.Failed, err, "retry", deployInstead)
		}
	}
	p.Target.Rollback.Irreversible = p.Target.Rollback.Irreversible || out.began.Irreversible
	switch began := out.began; {
	case run != "" && run != out.run:
		return nil, problem.New(problem.Failed, deployInstead, "retry: since run %s there was run %s: %s of %s", run, out.run, began.Verb, began.Release)
	case began.Verb != "deploy":
		return nil, problem.New(problem.Failed, deployInstead, "retry: the latest run, %s, is a %s, not a deploy that failed", out.run, began.Verb)
	case end.State == string(rollout.Promoted):
		return nil, problem.New(problem.Failed, "`shipper sync` brings hosts that were left behind to where the fleet is", "retry: run %s promoted %s", out.run, began.Release)
	case began.Settings != "" && began.Settings != p.settingsDigest():
		return nil, problem.New(problem.Failed, deployInstead, "retry: the settings are not those of run %s any more", out.run)
	}
	return out, nil
}

// again does on the hosts that lack the release what the run before did not.
func (d *deployment) again(ctx context.Context, hosts []HostStatus, res Result) (Result, error) {
	d.req.Hotfix = d.tried.began.Hotfix
	d.s.origin = d.tried.began.Provenance
	d.s.hotfix, d.s.retries, d.want = d.req.Hotfix, d.tried.run, d.tried.began.Release
	d.before = map[string]rpc.ServiceStatus{}
	lacks := map[string]bool{}
	for _, h := range hosts {
		d.before[h.Host] = h.Status
		lacks[h.Host] = h.Status.Slots[h.Status.Stable].Release != d.want
		if r := h.Status.Run; r != nil && r.ID == d.tried.run && r.Revision != "" {
			d.kept[h.Host] = *r
		}
	}
	d.f = d.m.without(d.f).where(func(h *host) bool { return lacks[h.Name] })
	res.Release, res.Behind = d.want, d.m.names()
	if len(d.f) == 0 {
		return res, problem.New(problem.Failed, "`shipper status` tells how the hosts stand", "retry: every host has %s", d.want)
	}
	if err := d.equipAgain(ctx); err != nil {
		return res, stopped(ctx, err)
	}
	if d.b != nil {
		defer d.b.Close()
	}
	if err := d.p.takeTurn(ctx, d.f, d.s, d.p.turn(d.req)); err != nil {
		return res, stopped(ctx, err)
	}
	return d.p.asRun(ctx, d.f, d.s, "deploy", res, func(l *lease) (Result, error) { return d.underLock(ctx, l, res) })
}

// equipAgain opens the bundle if some host needs it, and makes what judges.
func (d *deployment) equipAgain(ctx context.Context) (err error) {
	if err := d.p.hasBeenThrough(ctx, d.want, d.s); err != nil {
		return err
	}
	if d.questions, err = d.p.questions(d.want); err != nil {
		return err
	}
	bare := d.f.where(func(h *host) bool { return d.kept[h.Name].Revision == "" })
	if len(bare) == 0 {
		return nil
	}
	if err := bare.connect(ctx, true); err != nil {
		return err
	}
	if d.req.Bundle == "" {
		d.req.Release = "=" + d.want.Version
	}
	if d.b, err = d.p.bundle(ctx, d.req, d.s); err != nil {
		return err
	}
	if got := d.b.Release(); got != d.want {
		return problem.New(problem.Verification, "give the bundle of that run, with --bundle", "retry: run %s released %s, the bundle holds %s", d.tried.run, d.want, got)
	}
	if err := d.p.trusted(d.b); err != nil {
		return err
	}
	if d.secrets, err = d.p.secrets(); err != nil {
		return err
	}
	if err := d.render(); err != nil {
		return err
	}
	return d.sameAsTried(bare)
}

// sameAsTried refuses a configuration that makes another revision of it.
func (d *deployment) sameAsTried(bare fleet) error {
	for _, h := range bare {
		_, arch := h.target()
		for _, other := range d.p.fleet() {
			then := d.kept[other.Name].Revision
			if _, there := other.target(); then == "" || there != arch {
				continue
			}
			if now := d.revision(h).ID(); now != then {
				return problem.New(problem.Failed, deployInstead, "retry: with this configuration %s would be revision %s, run %s started %s", d.want.Version, now.Short(), d.tried.run, then.Short())
			}
		}
	}
	return nil
}

// stillTried refuses if somebody was quicker.
func (d *deployment) stillTried(now map[string]rpc.ServiceStatus) error {
	for _, h := range d.f {
		if committed(now[h.Name]) != committed(d.before[h.Name]) {
			return problem.New(problem.Failed, deployInstead, "retry: something else was done on %s meanwhile", h.Name)
		}
	}
	return nil
}
