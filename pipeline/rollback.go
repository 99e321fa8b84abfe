package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// Rollback takes the fleet to the previous revision, or to the one named, by
// what the hosts themselves keep: no build, no store, no provider is needed.
// A run that is left over is ended; stable is not touched then.
func (p *Pipeline) Rollback(ctx context.Context, req RollbackRequest) (Result, error) {
	s := newStory(newRun(p.Now()), p.Now, p.Emit)
	f := p.fleet()
	defer f.close()
	m := p.missing()
	hosts, err := p.answering(ctx, f, m)
	if err != nil {
		return Result{State: rollout.Failed}, stopped(ctx, reachProblem(err))
	}
	m.tell(s)
	d := rollout.DecideRollback(views(hosts), req.To)
	res := Result{State: rollout.RolledBack, Run: s.run, Release: d.Target}
	if d.Exit != 0 {
		return Result{State: rollout.Failed}, problem.New(kindOfExit(d.Exit), d.Hint, "roll back: %s", d.Why)
	}
	if d.Why != "" {
		s.note(journal.TypeWarning, "", d.Why)
	}
	if err := mayGoBehind(s, hosts, d, req); err != nil {
		return Result{State: rollout.Failed}, err
	}
	if req.verdict != "" { // so that the hosts have it, too
		s.tell(journal.TypeVerdict, "", journal.Verdict{Outcome: string(rollout.FailedSignal), Why: req.verdict})
	}
	touched := m.without(f).where(func(h *host) bool { return d.Moves[h.Name].Move != rollout.Stay })
	res.Behind = m.names()
	if len(touched) == 0 {
		return res, leftBehind(res.Behind, "rolled back")
	}
	return p.underRun(ctx, touched, s, "rollback", res, func(l *lease) (Result, error) {
		_ = p.hooksAt(ctx, s, "beforeRollback", "rollback", res, nil) // a rescue goes on whatever they say
		return p.goBack(ctx, touched, l, s, d, m, hosts, res)
	})
}

// answering looks at all hosts and gives the answers of those who do; the
// others are missing, if they may be.
func (p *Pipeline) answering(ctx context.Context, f fleet, m *missing) ([]HostStatus, error) {
	return m.sort(ctx, p.look(ctx, f))
}

// goBack ends the run that is left over and flips the hosts that have to move.
func (p *Pipeline) goBack(ctx context.Context, f fleet, l *lease, s *story, d rollout.Decision, m *missing, hosts []HostStatus, res Result) (Result, error) {
	moving := f.where(func(h *host) bool { return d.Moves[h.Name].Move != rollout.End })
	ending := f.where(func(h *host) bool { return d.Moves[h.Name].Move == rollout.End })
	if err := ending.each(ctx, func(ctx context.Context, h *host) error { return h.end(ctx, s, d.Why) }); err != nil {
		res.State = rollout.Failed
		return res, remoteProblem(err, "end the run that is left over")
	}
	if len(moving) == 0 {
		return res, leftBehind(res.Behind, "rolled back")
	}
	fresh := p.freshSecrets(s)
	start := func(h *host) (rpc.Start, error) {
		m := d.Moves[h.Name]
		return fresh.into(p.startKept(m.Revision, m.Release)), nil
	}
	cold := moving.where(func(h *host) bool { return d.Moves[h.Name].Move == rollout.StartCold || fresh.differ(hosts, h.Name) })
	flip := p.flip(moving, cold)
	flip.Spare = m.spare(len(m.without(p.fleet())))
	engine, err := rollout.New(flip)
	if err != nil {
		return res, problem.Wrap(problem.Failed, err, "plan the rollback", "")
	}
	dr := newDriver(p, moving, l, task{start: start, rejects: func(*host) bool { return true }, missing: m.names()}, s, engine)
	end := dr.drive(ctx)
	if end.State == rollout.Promoted {
		res.Behind = dr.behind(end)
		return res, leftBehind(res.Behind, "rolled back on the others")
	}
	res, err = dr.result(end, res)
	if res.State == rollout.RolledBack {
		res.State = rollout.Failed
		return res, problem.New(problem.Failed, hintOf(dr.problem(), "`shipper logs` shows what the service said"), "roll back: %s; everything stays as it was", end.Why)
	}
	return res, err
}

// end closes a run whose controller is gone; stable is not touched.
func (h *host) end(ctx context.Context, s *story, why string) error {
	var got rpc.Undone
	err := h.call(ctx, undoPatience, func(c *rpc.Client) (err error) {
		got, err = c.Undo(ctx, rpc.Undo{Fenced: h.fenced(s.run), State: string(rollout.RolledBack), Why: why})
		return err
	})
	if err == nil {
		s.tell(journal.TypeUndone, h.Name, journal.Undone{By: "operator", Why: why, Release: got.Release, Millis: got.Millis})
	}
	return err
}

// flip is the plan of a way back: start what is cold, smoke, all traffic at
// once, commit on all hosts.
// What has to be started anew is not flooded: it gets its requests in steps,
// after the others have all of theirs.
func (p *Pipeline) flip(f, cold fleet) rollout.Plan {
	plan := rollout.Plan{
		Strategy: rollout.BlueGreen, Batches: [][]string{f.names()},
		ProgressDeadline: p.Target.Rollout.ProgressDeadline, NoEvidence: true,
	}
	if p.Target.Rollout.Strategy == rollout.Recreate {
		plan.Strategy, plan.MaxUnavailable = rollout.Recreate, len(f)
		return plan
	}
	if ramp := p.ramp(); len(ramp) > 0 && len(cold) > 0 {
		plan.Strategy, plan.Batches, plan.Steps, plan.LaterSteps = rollout.Canary, [][]string{cold.names()}, ramp, ramp
		if warm := f.where(func(h *host) bool { return cold.byName(h.Name) == nil }); len(warm) > 0 {
			plan.Batches, plan.Steps = [][]string{warm.names(), cold.names()}, nil
		}
	}
	return plan
}

// ramp is the way of a cold release to 100 %.
func (p *Pipeline) ramp() []rollout.Step {
	all := p.Target.Rollback.Ramp
	if all == 0 || p.Target.Traffic.Router == "none" {
		return nil
	}
	weights := []release.Weight{1000, 2500, 5000}
	var out []rollout.Step
	for _, w := range weights {
		pause := max(all/time.Duration(len(weights)), 1) // 0 would wait for a person
		out = append(out, rollout.Step{SetWeight: &w}, rollout.Step{Pause: &pause})
	}
	return out
}

func (p *Pipeline) startKept(revision release.Digest, r release.Release) rpc.Start {
	t := p.Target
	return rpc.Start{
		Revision: release.Revision{Service: t.Service.Name, Release: r}, Kept: revision,
		Ports: p.ports(), Traffic: p.traffic(), Timeout: t.Service.StartTimeout,
	}
}

// underRun does work inside a run of its own: lock, journal, result, unlock.
func (p *Pipeline) underRun(ctx context.Context, f fleet, s *story, verb string, res Result, work func(*lease) (Result, error)) (Result, error) {
	if err := p.acquire(ctx, f, s.run, verb); err != nil {
		res.State = rollout.Failed
		return res, stopped(ctx, err)
	}
	return p.asRun(ctx, f, s, verb, res, work)
}

// asRun is underRun from the lock on.
func (p *Pipeline) asRun(ctx context.Context, f fleet, s *story, verb string, res Result, work func(*lease) (Result, error)) (Result, error) {
	l, letGo := p.hold(context.WithoutCancel(ctx), f, s.run)
	s.tell(journal.TypeRunStarted, "", p.opening(s, verb, res.Release, f))
	stopScribe := p.scribe(context.WithoutCancel(ctx), f, s)
	res, err := work(l)
	p.outcomes(ctx, s, verb, res, err)
	p.closing(s, verb, res, err)
	stopScribe()
	letGo()
	p.endSession(f, s.run, rpc.Ended{State: string(res.State), Why: reason(err), Behind: res.Behind, Freeze: res.Freeze})
	return res, err
}

func (f fleet) where(is func(*host) bool) fleet {
	var out fleet
	for _, h := range f {
		if is(h) {
			out = append(out, h)
		}
	}
	return out
}

func kindOfExit(exit int) problem.Kind {
	switch exit {
	case 6:
		return problem.Locked
	case 7:
		return problem.Unreachable
	}
	return problem.Failed
}

// Resume takes on a run whose controller is gone: a parked one from its step
// (kind resume, promote or promote-full), a split one to its end.
func (p *Pipeline) Resume(ctx context.Context, kind string) (Result, error) {
	f := p.fleet()
	defer f.close()
	hosts, m := p.look(ctx, f), p.missing()
	now := fleetStatus(hosts)
	if now.State != rollout.Paused { // a commit round is finished on all hosts, or not at all
		m.need = len(f)
	}
	there, err := m.sort(ctx, hosts)
	if err != nil {
		return Result{State: rollout.Failed}, stopped(ctx, reachProblem(err))
	}
	left, err := p.leftOver(ctx, f, there, now, m)
	if err != nil {
		return Result{State: rollout.Failed, Release: now.Stable}, err
	}
	questions, err := p.questions(left.release)
	if err != nil {
		return Result{State: rollout.Failed, Release: left.release}, err
	}
	s := newStory(left.run, p.Now, p.Emit)
	s.seq = left.seq
	m.tell(s)
	res := Result{State: rollout.Failed, Run: left.run, Release: left.release, Behind: m.names()}
	return p.underRun(ctx, left.hosts, s, kind, res, func(l *lease) (Result, error) {
		engine, err := rollout.New(left.plan)
		if err != nil {
			return res, problem.Wrap(problem.Failed, err, "plan the rest of the run", "`shipper abort` ends it")
		}
		dr := newDriver(p, left.hosts, l, task{start: left.start, questions: questions, missing: m.names(), irreversible: left.irreversible, change: p.Change, hooks: kind, release: left.release}, s, engine)
		if left.step > 0 && kind != "resume" {
			dr.ask = kind
		}
		return dr.result(dr.drive(ctx), res)
	})
}

// rest is what is left to do of a run.
type rest struct {
	run     string // a parked run goes on as itself; the hosts of a split one begin anew
	hosts   fleet
	release release.Release
	plan    rollout.Plan
	start   func(*host) (rpc.Start, error)
	seq     int64
	step    int // of a parked run; 0: split

	irreversible bool
}

func (p *Pipeline) leftOver(ctx context.Context, f fleet, hosts []HostStatus, now FleetStatus, m *missing) (rest, error) {
	r := rest{run: now.Run, hosts: f.where(func(h *host) bool { return undecided(hosts, h.Name, now.Run) })}
	if (now.State != rollout.Paused && now.State != rollout.Split) || len(r.hosts) == 0 {
		return r, problem.New(problem.Failed, "`shipper status` tells how the hosts stand", "resume: no run waits to be taken on")
	}
	revisions := map[string]rpc.RunStatus{}
	for _, h := range hosts {
		if s := h.Status.Session; s != nil && !(s.Manual && s.Run == now.Run) { // a freeze of its own is no obstacle
			return r, problem.New(problem.Locked, lockHint(h.Status.Session), "resume: run %s is alive", now.Run)
		}
		if h.Status.Run != nil && h.Status.Run.ID == now.Run {
			revisions[h.Host], r.release = *h.Status.Run, h.Status.Run.Release
		}
	}
	r.start = func(h *host) (rpc.Start, error) {
		return p.startKept(revisions[h.Name].Revision, revisions[h.Name].Release), nil
	}
	step, err := p.parkedAt(ctx, r.hosts[0], now.Run, &r)
	if err != nil || now.State == rollout.Split {
		r.run, r.seq, r.plan = newRun(p.Now()), 0, p.flip(r.hosts, nil)
		return r, err
	}
	first := map[string]bool{}
	for _, h := range hosts {
		first[h.Host] = h.Status.Stable == ""
	}
	p.Target.Rollback.Irreversible = p.Target.Rollback.Irreversible || r.irreversible
	r.plan = plan(p.Target, first)
	if err := m.mayLeave(r.plan, r.hosts); err != nil {
		return r, err
	}
	r.plan.Batches, r.plan.Spare = only(r.plan.Batches, r.hosts.names()), m.spare(len(hosts))
	r.plan.From = rollout.Position{Batch: max(step.Batch, 1), Step: max(step.Step, 1)}
	r.step = r.plan.From.Step
	return r, nil
}

// undecided reports whether a host has neither committed the run nor left it.
func undecided(hosts []HostStatus, name, run string) bool {
	for _, h := range hosts {
		if h.Host == name {
			return h.Status.Run != nil && h.Status.Run.ID == run && h.Status.Run.Phase != "committed"
		}
	}
	return false
}

// parkedAt reads from the run's journal which step it was in.
func (p *Pipeline) parkedAt(ctx context.Context, h *host, run string, r *rest) (journal.StepBegan, error) {
	var records []journal.Record
	err := h.call(ctx, 0, func(c *rpc.Client) (err error) {
		records, err = c.Read(ctx, rpc.Read{Service: p.Target.Service.Name, Run: run})
		return err
	})
	var step journal.StepBegan
	for _, rec := range records {
		r.seq = max(r.seq, rec.Seq)
		switch rec.Type {
		case journal.TypeStep:
			err = errors.Join(err, decode(rec, &step))
		case journal.TypeRunStarted:
			var began journal.RunStarted
			err = errors.Join(err, decode(rec, &began))
			r.irreversible = r.irreversible || began.Irreversible
		}
	}
	return step, remoteProblem(err, "read the journal")
}
