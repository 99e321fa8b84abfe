package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/report"
	"github.com/go-shipper/shipper/rollout"
)

// watchEvery is how often status --watch asks the hosts.
const watchEvery = 2 * time.Second

func (p *program) statusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "what runs where, with which share of the traffic, and how the last run ended",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "watch", Usage: "look again until the run ends"},
			&cli.DurationFlag{Name: "timeout", Usage: "give up after `D` (30s, 10m)"},
		},
		Action: p.simple("status", p.status),
	}
}

func (p *program) status(c *cli.Context, run verbs) (pipeline.Result, error) {
	ctx := c.Context
	if limit := c.Duration("timeout"); limit > 0 {
		var cancel context.CancelFunc
		late := problem.New(problem.Failed, "give it longer with --timeout", "status: no end within %v", limit)
		ctx, cancel = context.WithTimeoutCause(ctx, limit, late)
		defer cancel()
	}
	look := run.Examine
	if c.Bool("watch") {
		look = run.Status // every other second
	}
	for {
		st, err := look(ctx)
		if ctx.Err() != nil {
			return result(st), context.Cause(ctx)
		}
		if err := errors.Join(err, p.fleet(st)); err != nil {
			return result(st), err
		}
		if !c.Bool("watch") {
			return result(st), standing(st)
		}
		if st.State != rollout.Running {
			return result(st), errors.Join(standing(st), outcome(st))
		}
		select {
		case <-ctx.Done():
			return result(st), context.Cause(ctx)
		case <-time.After(watchEvery):
		}
	}
}

func result(st pipeline.FleetStatus) pipeline.Result {
	return pipeline.Result{State: st.State, Run: st.Run, Release: st.Stable}
}

// standing is an error if some host is not where it should be, or cannot
// say: silence is not success.
func standing(st pipeline.FleetStatus) error {
	var silent error
	for _, h := range st.Hosts {
		if h.Err != nil && silent == nil {
			silent = problem.Wrap(problem.Unreachable, h.Err, "ask "+h.Host, hintOf(h.Err))
		}
	}
	switch {
	case st.State == rollout.Split:
		return problem.New(problem.Behind, "`shipper resume` goes on with the run, `shipper rollback` takes the rest back",
			"not on the reported release: %s", list(st.Behind))
	case len(st.Left) > 0:
		return problem.New(problem.Behind, "`shipper sync` brings them to where the fleet is", "not on the reported release: %s", st.Lagging(st.Left))
	}
	return silent
}

// outcome is how the run ended that status --watch waited for.
func outcome(st pipeline.FleetStatus) error {
	if st.Verb == "rollback" && st.State == rollout.RolledBack {
		return nil // as it should
	}
	switch st.State {
	case rollout.Paused:
		return problem.New(problem.Paused, "`shipper promote` goes on, `shipper abort` goes back", "run %s is paused: %s", st.Run, st.Why)
	case rollout.Aborted:
		return problem.New(problem.Aborted, "", "run %s was aborted: %s", st.Run, st.Why)
	case rollout.RolledBack, rollout.Failed, rollout.Lost:
		return problem.New(problem.Failed, "`shipper history` tells more", "run %s ended as %s: %s", st.Run, st.State, st.Why)
	}
	return nil
}

// fleet tells what the hosts say: a record each, or the table.
func (p *program) fleet(st pipeline.FleetStatus) error {
	rows := p.rows(st)
	if p.told.json {
		return nil
	}
	head := report.Fleet{
		Service: p.target.Service.Name, Environment: p.target.Environment,
		State: string(st.State), Release: st.Stable, Run: st.Run, Why: st.Why,
	}
	return report.Status(p.stdout, head, rows, time.Now())
}

// rows makes a record of each host's answer, and tells it with --json.
func (p *program) rows(st pipeline.FleetStatus) []journal.Record {
	var rows []journal.Record
	for _, h := range st.Hosts {
		state := serviceState(h)
		state.Behind, state.BehindWhy = slices.Contains(st.Behind, h.Host), st.Reason[h.Host]
		r := newRecord(journal.TypeServiceState, h.Host, state)
		rows = append(rows, r)
		if p.told.json {
			p.told.emit(r)
		}
	}
	return rows
}
