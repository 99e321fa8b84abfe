package pipeline

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// removing is the verb after which a host knows no session any more.
const removing = "remove"

// Prune removes what retention no longer keeps; by host name, what went.
func (p *Pipeline) Prune(ctx context.Context, dryRun bool) (map[string]rpc.PruneReply, error) {
	var mu sync.Mutex
	out := map[string]rpc.PruneReply{}
	err := p.locked(ctx, "prune", func(ctx context.Context, h *host, run string) error {
		return h.call(ctx, 0, func(c *rpc.Client) error {
			got, err := c.Prune(ctx, rpc.Prune{Fenced: h.fenced(run), Keep: p.Target.Retention.Releases, DryRun: dryRun})
			mu.Lock()
			defer mu.Unlock()
			out[h.Name] = got
			return err
		})
	})
	return out, err
}

// Remove takes the service off all hosts without a trace; where it was the
// last one, shipper goes as well.
func (p *Pipeline) Remove(ctx context.Context) error {
	var mu sync.Mutex
	var empty fleet
	err := p.locked(ctx, removing, func(ctx context.Context, h *host, run string) error {
		var left []string
		err := h.call(ctx, 0, func(c *rpc.Client) (err error) {
			if err = c.Remove(ctx, rpc.Remove{Fenced: h.fenced(run)}); err == nil {
				left, err = c.List(ctx)
			}
			return err
		})
		if err == nil && len(left) == 0 {
			mu.Lock()
			defer mu.Unlock()
			empty = append(empty, h)
		}
		return err
	})
	// Not before the renewals ended: they would bring the program back.
	gone := empty.each(ctx, func(ctx context.Context, h *host) error { return h.leave(ctx) })
	return cmp.Or(err, remoteProblem(gone, removing))
}

// leave ends the bridge first: it runs from the folder that goes.
func (h *host) leave(ctx context.Context) error {
	h.drop()
	conn, err := h.p.Dial(ctx, h.Host)
	if err != nil {
		return err
	}
	return errors.Join(h.p.Leave(ctx, conn, h.Host), conn.Close())
}

// locked does fn on every host that knows the service, under the lock.
func (p *Pipeline) locked(ctx context.Context, verb string, fn func(context.Context, *host, string) error) error {
	f := p.fleet()
	defer f.close()
	var known fleet
	for _, hs := range p.look(ctx, f) {
		if hs.Err != nil {
			return reachProblem(&hostError{Host: hs.Host, Err: hs.Err})
		}
		if hs.Status.Known {
			known = append(known, f.byName(hs.Host))
		}
	}
	if len(known) == 0 {
		return problem.New(problem.Failed, "`shipper status` lists what the hosts know", "%s: no host knows service %s", verb, p.Target.Service.Name)
	}
	run := newRun(p.Now())
	if err := p.acquire(ctx, known, run, verb); err != nil {
		return err
	}
	_, letGo := p.hold(ctx, known, run)
	err := known.each(ctx, func(ctx context.Context, h *host) error { return fn(ctx, h, run) })
	letGo()
	if verb != removing || err != nil {
		p.release(known, run, rollout.Promoted, reason(err))
	}
	return remoteProblem(err, verb)
}
