package main

import (
	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
)

func (p *program) retryCommand() *cli.Command {
	return &cli.Command{
		Name:      "retry",
		Usage:     "go on with the latest deploy where it failed: the same release, on the hosts that have not got it",
		ArgsUsage: "[RUN]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Usage: "the `FILE` of that run, for hosts that did not get as far as to start it; default: found among the bundles"},
			&cli.StringFlag{Name: "change", Usage: "the change `ID` that allows it outside of the change windows; recorded"},
			unreachableFlag(),
		},
		Action: p.simple("retry", func(c *cli.Context, run verbs) (pipeline.Result, error) {
			if err := atMostOne(c, "run"); err != nil {
				return pipeline.Result{}, err
			}
			req, err := p.request(c)
			if err != nil {
				return pipeline.Result{}, err
			}
			return run.Retry(c.Context, c.Args().First(), req)
		}),
	}
}

func atMostOne(c *cli.Context, what string) error {
	if c.NArg() > 1 {
		return problem.New(problem.Usage, "`shipper history` lists the runs", "`%s` takes one %s, but got %q and %q", c.Command.Name, what, c.Args().Get(0), c.Args().Get(1))
	}
	return nil
}
