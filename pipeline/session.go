package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
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

// acquire takes the session on all hosts: on the first one alone, so that of
// two runs one stops there, then on the others at once. One refusal frees all.
func (p *Pipeline) acquire(ctx context.Context, f fleet, run, verb string) error {
	take := func(ctx context.Context, h *host) error { return h.acquire(ctx, run, verb) }
	if len(f) == 0 {
		return nil
	}
	err := f[:1].each(ctx, take)
	if err == nil {
		err = f[1:].each(ctx, take)
	}
	if err == nil {
		return nil
	}
	p.release(f.where((*host).holds), run, rollout.Failed, "another host refused the lock")
	return remoteProblem(err, "take the lock")
}

func (h *host) acquire(ctx context.Context, run, verb string) error {
	return h.call(ctx, h.p.Target.Rollback.Lease, func(c *rpc.Client) error {
		ctx, stop := whileAnswering(ctx, c, h.p.patience())
		defer stop()
		s, err := c.Acquire(ctx, rpc.Acquire{
			Service: h.p.Target.Service.Name, Environment: h.p.Target.Environment,
			Run: run, Verb: verb, Owner: h.p.Owner, Address: h.p.Address,
			TTL: h.p.Target.Rollback.Lease,
		})
		if err == nil {
			h.took(run, verb, s.Fence)
		}
		return err
	})
}

// patience is how long a host may owe the answer to a plain question.
func (p *Pipeline) patience() time.Duration { return max(p.Target.Rollback.Lease/3, 15*time.Second) }

// whileAnswering ends ctx when the host does not answer plain questions any
// more. One that goes back to stable gives no session before that is done,
// however long it takes; a wire that has fallen silent gives none at all.
func whileAnswering(ctx context.Context, c *rpc.Client, patience time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(patience):
			}
			asked, stop := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %s", patience))
			_, err := c.List(asked)
			stop()
			var refused *rpc.Error
			if err != nil && !errors.As(err, &refused) {
				cancel(err)
				return
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// release frees the sessions and records how the run ended. It has a deadline
// of its own, because the caller's context may be over.
func (p *Pipeline) release(f fleet, run string, state rollout.State, why string, behind ...string) {
	p.endSession(f, run, rpc.Ended{State: string(state), Why: why, Behind: behind})
}

func (p *Pipeline) endSession(f fleet, run string, end rpc.Ended) {
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	_ = f.each(ctx, func(ctx context.Context, h *host) error {
		return h.call(ctx, 0, func(c *rpc.Client) error {
			end := end
			end.Fenced = h.fenced(run)
			return c.ReleaseSession(ctx, end)
		})
	})
}

// scribe hands the story's records to every host as they come. Those told
// before are there when it returns: whoever takes over from a controller that
// dies next finds what it began. stop hands over the rest and ends it.
func (p *Pipeline) scribe(ctx context.Context, f fleet, s *story) (stop func()) {
	over := make(chan struct{})
	var opening, work sync.WaitGroup
	opening.Add(len(f))
	for _, h := range f {
		work.Go(func() {
			sent := h.hand(ctx, s, 0)
			opening.Done()
			s.deliver(over, sent, func(sent int) int { return h.hand(ctx, s, sent) })
		})
	}
	opening.Wait()
	return func() {
		close(over)
		work.Wait()
	}
}

// hand appends the records from index i on and returns how many the host has
// then. What it misses goes with the next lot; a host that stays away finds
// it at its peers: `history` merges what all hosts have.
func (h *host) hand(ctx context.Context, s *story, i int) int {
	records := s.after(i)
	if len(records) == 0 {
		return i
	}
	err := h.append(ctx, s.run, records)
	var refused *rpc.Error
	switch {
	case err == nil:
		return i + len(records)
	case !errors.As(err, &refused):
		return i
	case len(records) == 1:
		return i + 1 // it never will be taken: those behind it may
	}
	for _, r := range records {
		if err := h.append(ctx, s.run, []journal.Record{r}); err != nil && !errors.As(err, &refused) {
			return i
		}
		i++
	}
	return i
}

func (h *host) append(ctx context.Context, run string, records []journal.Record) error {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	return h.call(ctx, 0, func(c *rpc.Client) error {
		return c.Append(ctx, rpc.Append{Service: h.p.Target.Service.Name, Run: run, Records: records})
	})
}
