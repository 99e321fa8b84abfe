package main

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/report"
	"github.com/go-shipper/shipper/rollout"
)

func (p *program) historyCommand() *cli.Command {
	return &cli.Command{
		Name:  "history",
		Usage: "the runs that the hosts remember, the latest last",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "limit", Usage: "show the last `N` runs; 0: all", Value: 20},
		},
		Action: p.simple("history", p.history),
	}
}

func (p *program) history(c *cli.Context, run verbs) (pipeline.Result, error) {
	entries, err := run.History(c.Context)
	if limit := c.Int("limit"); limit > 0 && len(entries) > limit {
		entries = entries[len(entries)-limit:]
	}
	var rows []journal.Record
	for _, e := range entries {
		r := newRecord(journal.TypeRun, "", summaryOf(e))
		rows = append(rows, r)
		if p.told.json {
			p.told.emit(r)
		}
	}
	if !p.told.json && (err == nil || len(rows) > 0) {
		err = cmp.Or(err, report.History(p.stdout, rows, time.Local))
	}
	return pipeline.Result{}, err
}

// summaryOf joins how a run began with how it ended; a run whose controller
// died has no result, but the hosts tell that they went back.
func summaryOf(e pipeline.HistoryEntry) journal.RunSummary {
	began := read[journal.RunStarted](e.Started)
	out := journal.RunSummary{
		Run: e.Started.Run, Verb: began.Verb, Environment: began.Environment,
		Owner: began.Owner, Release: began.Release, Started: e.Started.Time, Ended: e.Result.Time,
	}
	switch e.Result.Type {
	case journal.TypeResult:
		end := read[journal.Result](e.Result)
		out.State, out.Exit, out.Why = end.State, end.Exit, end.Error
	case journal.TypeUndone:
		end := read[journal.Undone](e.Result)
		out.State, out.Exit, out.Why = string(rollout.Lost), exitFailed, end.Why
	}
	return out
}

// read decodes a record; one of another version leaves gaps.
func read[T any](r journal.Record) T {
	var v T
	_ = json.Unmarshal(r.Data, &v)
	return v
}
