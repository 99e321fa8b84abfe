package main

import (
	"errors"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/report"
)

func (p *program) lockCommand() *cli.Command {
	return &cli.Command{
		Name:  "lock",
		Usage: "who works on the service; keep others from it",
		Subcommands: []*cli.Command{
			{
				Name: "status", Usage: "who holds the lock on each host",
				Action: p.simple("lock status", p.lockStatus),
			},
			{
				Name: "acquire", Usage: "refuse all runs until it is released",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "tell the others why: `TEXT`"},
				},
				Action: p.simple("lock acquire", func(c *cli.Context, run verbs) (pipeline.Result, error) {
					return pipeline.Result{}, run.LockAcquire(c.Context, c.String("message"))
				}),
			},
			{
				Name: "release", Usage: "end lock acquire",
				Action: p.simple("lock release", func(c *cli.Context, run verbs) (pipeline.Result, error) {
					return pipeline.Result{}, run.LockRelease(c.Context)
				}),
			},
		},
	}
}

func (p *program) lockStatus(c *cli.Context, run verbs) (pipeline.Result, error) {
	hosts, err := run.LockStatus(c.Context)
	st := pipeline.FleetStatus{Hosts: hosts}
	rows := p.rows(st)
	if !p.told.json {
		err = errors.Join(err, report.Locks(p.stdout, rows, time.Now()))
	}
	if err != nil {
		return pipeline.Result{}, err
	}
	return pipeline.Result{}, standing(st)
}
