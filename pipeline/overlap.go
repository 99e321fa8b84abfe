package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
)

// takeTurn takes the lock of all hosts for a deploy. What the lock of another
// run means the policy says: refuse, wait for its end, or ask it to end. A
// freeze by a person is never waited for: nobody knows when it ends.
func (p *Pipeline) takeTurn(ctx context.Context, f fleet, s *story, policy string) error {
	told := ""
	for {
		err := p.acquire(ctx, f, s.run, "deploy")
		holder := lockedBy(err)
		waits := policy == config.ConcurrentQueue || policy == config.ConcurrentSupersede
		if err == nil || !waits || holder == nil || holder.Manual {
			return err
		}
		if holder.Run != told {
			told = holder.Run
			s.note(journal.TypeWarning, "", fmt.Sprintf("waits for run %s of %s, which holds the lock since %s",
				holder.Run, holder.Owner, holder.Since.UTC().Format(time.RFC3339)))
			if policy == config.ConcurrentSupersede && holder.Verb == "deploy" {
				p.supersede(ctx, f, s, *holder)
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(p.Target.Rollback.Lease / 6): // as often as the other renews
		}
	}
}

// supersede asks the run that holds the lock to end. One inside its commit
// round does not listen, and is waited for; a rollback is never ended.
func (p *Pipeline) supersede(ctx context.Context, f fleet, s *story, holder rpc.Session) {
	by := p.Owner + " (superseded by run " + s.run + ")"
	s.note(journal.TypeWarning, "", "supersedes run "+holder.Run+" of "+holder.Owner)
	for _, h := range f {
		st, err := h.status(ctx)
		if err != nil || st.Session == nil || st.Session.Run != holder.Run {
			continue
		}
		err = h.call(ctx, 0, func(c *rpc.Client) error {
			return c.Request(ctx, rpc.Ask{Service: p.Target.Service.Name, Kind: "abort", By: by})
		})
		if err == nil {
			return // one host is enough: the run hears it from there
		}
	}
}

// lockedBy is the session that stands in the way; nil: something else does.
func lockedBy(err error) *rpc.Session {
	var refused *rpc.Error
	if problem.KindOf(err) != problem.Locked || !errors.As(err, &refused) {
		return nil
	}
	return refused.Session
}

// turn is what the lock of another run means to this deploy.
func (p *Pipeline) turn(req DeployRequest) string {
	if req.Hotfix {
		return config.ConcurrentSupersede
	}
	return p.Target.Rollout.OnConcurrent
}
