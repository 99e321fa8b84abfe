//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// incident is a bad release, and how it is judged.
type incident struct {
	name   string
	fails  float64 // share of the canary's requests
	weight release.Weight
	rate   int // requests a second, over both hosts
	judged func(ctx context.Context, f *fleet, t *config.Target) (stop func(), err error)
}

// outcome is one incident as its clients saw it.
type outcome struct {
	gone   time.Duration // from the first step until the canary's last answer
	flip   time.Duration // from the verdict until the canary's last answer
	canary int           // requests that the canary failed
	lost   int           // requests that nobody answered, or something else than the service
}

// settleTime is how long the load goes on once all is said to be over.
const settleTime = time.Second

// run lets a bad release happen and watches until it is gone.
func (i incident) run(ctx context.Context, f *fleet) (outcome, error) {
	t := f.target
	pause := time.Duration(0) // nobody promotes it
	t.Rollout.Steps = []config.Step{{SetWeight: &i.weight}, {Pause: &pause}}
	if i.judged != nil {
		stop, err := i.judged(ctx, f, &t)
		if err != nil {
			return outcome{}, err
		}
		defer stop()
	}
	f.crowd.take()
	load, stop := context.WithCancel(ctx)
	sent := make(chan struct{})
	go func() { f.crowd.send(load, i.rate); close(sent) }()
	state, err := f.deploy(ctx, t, i.fails)
	if state == rollout.RolledBack {
		select {
		case <-time.After(settleTime):
		case <-ctx.Done():
		}
	}
	stop()
	<-sent
	if state != rollout.RolledBack {
		return outcome{}, fmt.Errorf("%s: the run ended %s: %w", i.name, state, err)
	}
	return i.outcome(f)
}

func (i incident) outcome(f *fleet) (outcome, error) {
	var out outcome
	began, judged := f.when(journal.TypeStep), f.when(journal.TypeVerdict)
	var last time.Time
	for _, a := range f.crowd.take() {
		switch {
		case a.version == "":
			out.lost++
		case a.version != f.version():
		default:
			if a.failed {
				out.canary++
			}
			if a.got.After(last) {
				last = a.got
			}
		}
	}
	if began.IsZero() || judged.IsZero() || last.IsZero() {
		return out, fmt.Errorf("%s: no step, no verdict or no answer of the canary was seen", i.name)
	}
	out.gone, out.flip = last.Sub(began), max(0, last.Sub(judged))
	return out, nil
}
