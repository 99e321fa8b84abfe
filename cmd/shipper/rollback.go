package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
)

func (p *program) rollbackCommand() *cli.Command {
	return &cli.Command{
		Name:  "rollback",
		Usage: "take all hosts back to the previous release",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "go back to this `VERSION` that the hosts still keep"},
			&cli.StringFlag{Name: "override-irreversible", Usage: "go back behind a release that is irreversible, for this `REASON`; recorded"},
			&cli.BoolFlag{Name: "check", Usage: "change nothing: tell what it would do, and show that the release before is intact, logs on and starts"},
			unreachableFlag(),
		},
		Action: p.simple("rollback", func(c *cli.Context, run verbs) (pipeline.Result, error) {
			if c.Bool("check") {
				return p.checkRollback(c, run)
			}
			return run.Rollback(c.Context, pipeline.RollbackRequest{To: c.String("to"), Override: strings.TrimSpace(c.String("override-irreversible"))})
		}),
	}
}

func (p *program) checkRollback(c *cli.Context, run verbs) (pipeline.Result, error) {
	if c.IsSet("to") || c.IsSet("override-irreversible") {
		return pipeline.Result{}, problem.New(problem.Usage, "leave it out: what is checked is the way that `shipper rollback` takes by itself",
			"--check goes with neither --to nor --override-irreversible")
	}
	result, ways, err := run.CheckRollback(c.Context)
	for _, host := range slices.Sorted(maps.Keys(ways)) {
		p.told.answer(journal.TypeWayBack, host, ways[host])
	}
	return result, err
}
