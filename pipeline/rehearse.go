package pipeline

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// CheckRollback shows what a rollback would do, and that it can: on every host
// the revision is there, intact, and starts, beside stable and without
// traffic. It takes the lock for as long as that lasts, and records no run.
func (p *Pipeline) CheckRollback(ctx context.Context) (Result, map[string]journal.WayBack, error) {
	s := newStory(newRun(p.Now()), p.Now, nil)
	f := p.fleet()
	defer f.close()
	all := p.look(ctx, f)
	var there []HostStatus
	var away []error
	for _, h := range all {
		if h.Err == nil {
			there = append(there, h)
		} else {
			away = append(away, &hostError{Host: h.Host, Err: h.Err})
		}
	}
	if len(there) == 0 {
		return Result{}, nil, reachProblem(firstError(all))
	}
	d := rollout.DecideRollback(views(there), "")
	if d.Exit != 0 {
		return Result{}, nil, problem.New(kindOfExit(d.Exit), d.Hint, "check the rollback: %s", d.Why)
	}
	c := &backCheck{p: p, d: d, out: map[string]journal.WayBack{}}
	if err := mayGoBehind(s, there, d, RollbackRequest{}); err != nil {
		c.barred = err.Error()
	}
	for _, h := range all {
		c.begin(h)
	}
	err := c.run(ctx, f.where(func(h *host) bool { return c.out[h.Name].Problem == "" }), s.run)
	res := Result{Release: d.Target}
	switch {
	case err != nil:
		return res, c.out, stopped(ctx, err)
	case len(away) > 0:
		return res, c.out, reachProblem(errors.Join(away...))
	}
	return res, c.out, c.verdict()
}

// backCheck collects how a rollback would go.
type backCheck struct {
	p      *Pipeline
	d      rollout.Decision
	barred string // what forbids the way back as a whole

	mu  sync.Mutex
	out map[string]journal.WayBack
}

// begin says what a rollback would do on a host.
func (c *backCheck) begin(h HostStatus) {
	m := c.d.Moves[h.Host]
	way := journal.WayBack{Move: string(m.Move), Release: m.Release, Revision: m.Revision, Problem: c.barred}
	if h.Err != nil {
		way = journal.WayBack{Problem: "no answer: " + h.Err.Error()}
	}
	if m.Move == rollout.Flip {
		way.WarmSeconds = h.Status.WarmFor.Seconds()
	}
	c.out[h.Host] = way
}

func (c *backCheck) tell(h *host, change func(*journal.WayBack)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	way := c.out[h.Name]
	change(&way)
	c.out[h.Name] = way
}

// run verifies what the hosts keep and starts it where it may.
func (c *backCheck) run(ctx context.Context, f fleet, run string) error {
	moving := f.where(func(h *host) bool {
		m := c.d.Moves[h.Name].Move
		return m == rollout.Flip || m == rollout.StartCold
	})
	err := moving.each(ctx, c.verify)
	why := c.p.notBeside()
	intact := moving.where(func(h *host) bool { return c.out[h.Name].Intact })
	if err != nil || why != "" || len(intact) == 0 {
		for _, h := range intact {
			c.tell(h, func(w *journal.WayBack) { w.NotStarted = why })
		}
		return remoteProblem(err, "look at what is kept")
	}
	if err := c.p.acquire(ctx, intact, run, "check"); err != nil {
		return err
	}
	_, letGo := c.p.hold(context.WithoutCancel(ctx), intact, run)
	err = intact.few(ctx, c.p.Target.Rollout.MaxParallel.Of(len(c.p.Target.Hosts)), func(ctx context.Context, h *host) error { return c.start(ctx, h, run) })
	letGo()
	c.p.release(intact, run, "", "")
	return remoteProblem(err, "start what is kept")
}

// notBeside is why the old instance can not be started to try it.
func (p *Pipeline) notBeside() string {
	switch {
	case p.Target.Service.Data == "exclusive" || p.Target.Rollout.Strategy == rollout.Recreate:
		return "two instances must not live at the same time"
	case p.Target.Traffic.Router == "none":
		return "a worker would take work"
	}
	return ""
}

func (c *backCheck) verify(ctx context.Context, h *host) error {
	got, err := h.inspect(ctx, true)
	if rpc.CodeOf(err) == rpc.CodeUnsupported {
		c.tell(h, func(w *journal.WayBack) { w.Problem = "not verified: the guard is of an older shipper" })
		return nil
	}
	if err != nil {
		return err
	}
	c.tell(h, func(w *journal.WayBack) {
		switch {
		case got.Previous == nil || got.Previous.Revision != w.Revision:
			w.Problem = "the host itself would not go there"
		case got.Previous.Problem != "":
			w.Problem = got.Previous.Problem
		default:
			w.Intact = true
		}
	})
	return nil
}

func (c *backCheck) start(ctx context.Context, h *host, run string) error {
	var checks []rpc.Check
	patience := c.p.Target.Service.StartTimeout + c.p.Target.Service.StopTimeout + time.Minute
	for _, check := range c.p.Target.Checks {
		checks = append(checks, checkOf(check))
		patience += check.Deadline
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var got rpc.Rehearsed
	err := h.call(ctx, 0, func(cl *rpc.Client) (err error) {
		got, err = cl.Rehearse(ctx, rpc.Rehearse{Fenced: h.fenced(run), Checks: checks})
		return err
	})
	var refused *rpc.Error
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	c.tell(h, func(w *journal.WayBack) {
		if err != nil {
			w.Problem = err.Error()
			return
		}
		w.Started, w.StartMillis = true, got.Millis
		for i, reply := range got.Checks {
			smoke := journal.Smoke{Check: checkName(c.p.Target.Checks[i]), OK: reply.OK, Detail: reply.Detail}
			w.Checks = append(w.Checks, smoke)
			if !reply.OK {
				w.Problem = "smoke check " + smoke.Check + ": " + smoke.Detail
			}
		}
	})
	return nil
}

func (c *backCheck) verdict() error {
	var bad []error
	for _, h := range c.p.fleet() {
		if why := c.out[h.Name].Problem; why != "" {
			bad = append(bad, &hostError{Host: h.Name, Err: errors.New(why)})
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return problem.Wrap(problem.Failed, errors.Join(bad...), "a rollback would not succeed everywhere", "`shipper deploy` of a good release is another way; `shipper status` names what is kept")
}
