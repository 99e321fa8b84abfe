package main

import (
	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/pipeline"
)

func (p *program) watchCommand() *cli.Command {
	return &cli.Command{
		Name:  "watch",
		Usage: "look after a committed release while the old slot is warm, and take it back if it turns bad",
		Action: p.simple("watch", func(c *cli.Context, run verbs) (pipeline.Result, error) {
			return run.Watch(c.Context)
		}),
	}
}
