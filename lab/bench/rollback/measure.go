//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// result is all outcomes of an incident.
type result struct {
	incident
	outcomes []outcome
}

// job is one run of an incident.
type job struct {
	*result
	round int
}

// measureAll runs the long incidents side by side, each fleet on its own, and
// then, alone, those in which milliseconds count.
func measureAll(ctx context.Context, dir string, o options) ([]*result, error) {
	flip := &result{incident: incident{name: "flip", fails: 1, weight: 5000, rate: 500}}
	dead := &result{incident: incident{name: "dead", fails: 1, weight: 500, rate: 100}}
	flagger := &result{incident: incident{name: "five percent", fails: 0.05, weight: 500, rate: 100, judged: likeFlagger}}
	five := &result{incident: incident{name: "five percent", fails: 0.05, weight: 500, rate: 100}}
	fleets, err := newFleets(ctx, dir, o)
	defer func() {
		for _, f := range fleets {
			_ = f.end() // nothing of it is left anyway
		}
	}()
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		inParallel(ctx, fleets, o, append(jobs(o.flagger, flagger), jobs(o.rounds, dead, five)...)),
		inParallel(ctx, fleets[:1], o, jobs(o.rounds, flip)))
	return []*result{flip, dead, five, flagger}, err
}

func jobs(rounds int, results ...*result) (all []job) {
	for round := range rounds {
		for _, r := range results {
			all = append(all, job{r, round + 1})
		}
	}
	return all
}

func newFleets(ctx context.Context, dir string, o options) ([]*fleet, error) {
	var out []*fleet
	for n := range o.parallel {
		f, err := newFleet(ctx, dir, n, o)
		if err != nil {
			return out, err
		}
		out = append(out, f)
	}
	return out, nil
}

// inParallel gives each fleet one job after another.
func inParallel(ctx context.Context, fleets []*fleet, o options, all []job) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan job, len(all))
	for _, j := range all {
		queue <- j
	}
	close(queue)
	var mu sync.Mutex
	var work sync.WaitGroup
	for _, f := range fleets {
		work.Go(func() {
			for j := range queue {
				if ctx.Err() != nil {
					return
				}
				got, err := j.run(ctx, f)
				if err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				j.outcomes = append(j.outcomes, got)
				tell(o, j, got)
				mu.Unlock()
			}
		})
	}
	work.Wait()
	return context.Cause(ctx)
}

func tell(o options, j job, got outcome) {
	if o.verbose {
		fmt.Fprintf(os.Stderr, "%s %d: gone after %s, %d ms after the verdict; %d failed, %d lost\n",
			j.name, j.round, got.gone.Round(time.Millisecond), got.flip.Milliseconds(), got.canary, got.lost)
	}
}
