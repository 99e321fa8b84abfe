package main

import (
	"context"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/lab/demo"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

func (p *program) demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "two Windows hosts under Wine, three releases, one of them bad",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "keep", Usage: "leave the hosts running; `shipper lab down --name demo` ends them"},
		},
		Action: p.does("demo", p.demo),
	}
}

func (p *program) demo(c *cli.Context) (pipeline.Result, error) {
	self, err := os.Executable()
	if err != nil {
		return pipeline.Result{State: rollout.Failed}, problem.Wrap(problem.Failed, err, "find this program", "")
	}
	p.told.expect(nil)
	err = demo.Run(c.Context, demo.Options{Shipper: self, Keep: c.Bool("keep"), Out: p.stderr, Show: p.told.emit})
	return demoEnded(c.Context, err)
}

// demoEnded tells a person's Ctrl-C from a story that went otherwise.
func demoEnded(ctx context.Context, err error) (pipeline.Result, error) {
	switch {
	case err != nil && ctx.Err() != nil:
		return pipeline.Result{State: rollout.Aborted}, context.Cause(ctx)
	case err != nil:
		return pipeline.Result{State: rollout.Failed}, problem.Wrap(problem.Failed, err, "demo", "")
	}
	return pipeline.Result{State: rollout.Promoted}, nil
}
