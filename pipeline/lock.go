package pipeline

import (
	"context"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// LockStatus tells who holds the lock on each host.
func (p *Pipeline) LockStatus(ctx context.Context) ([]HostStatus, error) {
	st, err := p.Status(ctx)
	return st.Hosts, err
}

// LockAcquire freezes the service: no run may begin until LockRelease.
func (p *Pipeline) LockAcquire(ctx context.Context, message string) error {
	return p.lockAll(ctx, "lock", message)
}

func (p *Pipeline) lockAll(ctx context.Context, verb, message string) error {
	f := p.fleet()
	defer f.close()
	m := anyHost()
	there, err := p.gather(ctx, f, true, m)
	if err != nil {
		return err
	}
	run := newRun(p.Now())
	for i, h := range there {
		if err := h.freeze(ctx, run, verb, message); err != nil {
			p.release(there[:i], run, rollout.Aborted, "another host refused the lock")
			return remoteProblem(&hostError{Host: h.Name, Err: err}, "take the lock")
		}
	}
	return m.named("locked")
}

func (h *host) freeze(ctx context.Context, run, verb, message string) error {
	return h.call(ctx, 0, func(c *rpc.Client) error {
		ctx, stop := whileAnswering(ctx, c, h.p.patience())
		defer stop()
		s, err := c.Acquire(ctx, rpc.Acquire{
			Service: h.p.Target.Service.Name, Environment: h.p.Target.Environment, Run: run, Verb: verb,
			Owner: h.p.Owner, Address: h.p.Address, Message: message, Manual: true,
		})
		h.took(run, verb, s.Fence)
		return err
	})
}

// LockRelease ends a freeze, whoever began it. A live run's lock is never
// taken from it: that is what abort is for.
func (p *Pipeline) LockRelease(ctx context.Context) error {
	f := p.fleet()
	defer f.close()
	m := anyHost()
	there, err := p.gather(ctx, f, false, m)
	if err != nil {
		return err
	}
	err = there.each(ctx, func(ctx context.Context, h *host) error {
		st, err := h.status(ctx)
		if err != nil || st.Session == nil {
			return err
		}
		if !st.Session.Manual {
			return problem.New(problem.Locked, lockHint(st.Session), "run %s of %s holds the lock", st.Session.Run, st.Session.Owner)
		}
		h.took(st.Session.Run, "lock", st.Session.Fence)
		return h.call(ctx, 0, func(c *rpc.Client) error {
			return c.ReleaseSession(ctx, rpc.Ended{Fenced: h.fenced(st.Session.Run), State: string(rollout.Aborted), Why: "released by " + p.Owner})
		})
	})
	if err != nil {
		return remoteProblem(err, "release the lock")
	}
	return m.named("released")
}
