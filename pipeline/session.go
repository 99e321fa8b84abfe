package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/rollout"
)

// releaseTimeout bounds the farewell: what is not freed expires.
const releaseTimeout = 5 * time.Second

// newRun names a run so that names sort by time and never collide.
func newRun(now time.Time) string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails
	return now.UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b[:])
}

// acquire takes the session on all hosts in name order, so that two runs
// cannot hold half each; one refusal frees the others.
func (p *Pipeline) acquire(ctx context.Context, f fleet, run, verb string) error {
	for i, h := range f {
		if err := h.acquire(ctx, run, verb); err != nil {
			p.release(f[:i], run, rollout.Failed, "another host refused the lock")
			return remoteProblem(&hostError{Host: h.Name, Err: err}, "take the lock")
		}
	}
	return nil
}

func (h *host) acquire(ctx context.Context, run, verb string) error {
	return h.call(ctx, h.p.Target.Rollback.Lease, func(c *rpc.Client) error {
		s, err := c.Acquire(ctx, rpc.Acquire{
			Service: h.p.Target.Service.Name, Environment: h.p.Target.Environment,
			Run: run, Verb: verb, Owner: h.p.Owner, Address: h.p.Address,
			TTL: h.p.Target.Rollback.Lease,
		})
		h.fence = s.Fence
		return err
	})
}

// release frees the sessions and records how the run ended. It has a deadline
// of its own, because the caller's context may be over.
func (p *Pipeline) release(f fleet, run string, state rollout.State, why string) {
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	_ = f.each(ctx, func(ctx context.Context, h *host) error {
		return h.call(ctx, 0, func(c *rpc.Client) error {
			return c.ReleaseSession(ctx, rpc.Ended{Fenced: h.fenced(run), State: string(state), Why: why})
		})
	})
}

func (h *host) fenced(run string) rpc.Fenced {
	return rpc.Fenced{Service: h.p.Target.Service.Name, Run: run, Fence: h.fence}
}

// scribe hands the story's records to every host as they come.
func (p *Pipeline) scribe(ctx context.Context, f fleet, s *story) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	sent := 0
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-s.changed:
				sent = p.hand(ctx, f, s, sent)
			}
		}
	}()
	return func() {
		cancel()
		<-done
		last, end := context.WithTimeout(context.Background(), releaseTimeout)
		defer end()
		p.hand(last, f, s, sent)
	}
}

// hand appends the records from index i on to all hosts; a host that misses
// some gets them with the next lot only from its peers' copies: `history`
// merges what all hosts have.
func (p *Pipeline) hand(ctx context.Context, f fleet, s *story, i int) int {
	records := s.after(i)
	if len(records) == 0 {
		return i
	}
	_ = f.each(ctx, func(ctx context.Context, h *host) error {
		return h.append(ctx, s.run, records)
	})
	return i + len(records)
}

func (h *host) append(ctx context.Context, run string, records []journal.Record) error {
	return h.call(ctx, 0, func(c *rpc.Client) error {
		return c.Append(ctx, rpc.Append{Service: h.p.Target.Service.Name, Run: run, Records: records})
	})
}
