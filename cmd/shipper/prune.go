package main

import (
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
)

func (p *program) pruneCommand() *cli.Command {
	return &cli.Command{
		Name:  "prune",
		Usage: "remove releases that retention.releases does not keep",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "only tell what would go"},
		},
		Action: p.simple("prune", p.prune),
	}
}

func (p *program) prune(c *cli.Context, run verbs) (pipeline.Result, error) {
	dry := c.Bool("dry-run")
	replies, err := run.Prune(c.Context, dry)
	for _, host := range slices.Sorted(maps.Keys(replies)) {
		r := replies[host]
		p.told.answer(journal.TypePruned, host, journal.Pruned{Removed: r.Removed, Kept: r.Kept, Bytes: r.Bytes, DryRun: dry})
	}
	return pipeline.Result{}, err
}

func (p *program) removeCommand() *cli.Command {
	return &cli.Command{
		Name:  "remove",
		Usage: "take the service off all hosts: services, releases, data, logs; no trace stays",
		Action: p.simple("remove", func(c *cli.Context, run verbs) (pipeline.Result, error) {
			return pipeline.Result{}, run.Remove(c.Context)
		}),
	}
}
