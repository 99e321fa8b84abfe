package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/pipeline"
)

func (p *program) rollbackCommand() *cli.Command {
	return &cli.Command{
		Name:  "rollback",
		Usage: "take all hosts back to the previous release",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "go back to this `VERSION` that the hosts still keep"},
			&cli.StringFlag{Name: "override-irreversible", Usage: "go back behind a release that is irreversible, for this `REASON`; recorded"},
			unreachableFlag(),
		},
		Action: p.simple("rollback", func(c *cli.Context, run verbs) (pipeline.Result, error) {
			return run.Rollback(c.Context, pipeline.RollbackRequest{To: c.String("to"), Override: strings.TrimSpace(c.String("override-irreversible"))})
		}),
	}
}
