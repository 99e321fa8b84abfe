package pipeline

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
)

// Latest names the latest run, for Story.
const Latest = "latest"

// Story is a run's journal, put together from all hosts that answer: each has
// the whole of it, as far as it was there. The error names those that do not.
func (p *Pipeline) Story(ctx context.Context, run string) ([]journal.Record, error) {
	if run == Latest {
		runs, err := p.History(ctx)
		if len(runs) == 0 {
			return nil, orNoRuns(err)
		}
		run = runs[len(runs)-1].Started.Run
	}
	records, away, err := p.journals(ctx, run)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, errors.Join(away, problem.New(problem.Failed, "`shipper history` lists the runs that the hosts remember", "run %s is not known on any host that answers", run))
	}
	return records, away
}

func orNoRuns(err error) error {
	if err != nil {
		return err
	}
	return problem.New(problem.Failed, "`shipper deploy` begins one", "the hosts remember no run")
}

// journals reads a run, or the ends of all of them ("*"), from whoever answers.
// away names the others; err is why nothing can be said.
func (p *Pipeline) journals(ctx context.Context, run string) (all []journal.Record, away, err error) {
	f := p.fleet()
	defer f.close()
	var missing []error
	hosts := p.look(ctx, f)
	for _, h := range hosts {
		if h.Err != nil {
			missing = append(missing, &hostError{Host: h.Host, Err: h.Err})
		}
	}
	away = reachProblem(errors.Join(missing...))
	if len(missing) == len(hosts) {
		return nil, nil, stopped(ctx, away)
	}
	var mu sync.Mutex
	var stories [][]journal.Record
	there := f.where(func(h *host) bool {
		return slices.ContainsFunc(hosts, func(s HostStatus) bool { return s.Host == h.Name && s.Err == nil && s.Status.Known })
	})
	err = there.each(ctx, func(ctx context.Context, h *host) error {
		return h.call(ctx, 0, func(c *rpc.Client) error {
			records, err := c.Read(ctx, rpc.Read{Service: p.Target.Service.Name, Run: run})
			if rpc.CodeOf(err) == rpc.CodeNotFound {
				return nil // it had no part in it
			}
			mu.Lock()
			defer mu.Unlock()
			stories = append(stories, records)
			return err
		})
	})
	return journal.Merge(stories...), away, remoteProblem(err, "read the journal")
}
