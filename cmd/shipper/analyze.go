package main

import (
	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
)

func (p *program) analyzeCommand() *cli.Command {
	return &cli.Command{
		Name:  "analyze",
		Usage: "judge a recorded run again, by the configuration as it is now; changes nothing",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "replay", Usage: "the `RUN`, as shipper history lists it"},
			&cli.Float64Flag{Name: "alpha", Usage: "another chance that a good release is taken back, instead of analysis.alpha"},
		},
		Action: p.does("analyze", p.analyze),
	}
}

func (p *program) analyze(c *cli.Context) (pipeline.Result, error) {
	id := c.String("replay")
	if id == "" {
		return pipeline.Result{}, problem.New(problem.Usage, "`shipper history` lists the runs", "analyze needs --replay RUN")
	}
	alpha := c.Float64("alpha")
	if c.IsSet("alpha") && !(alpha > 0 && alpha < 1) {
		return pipeline.Result{}, problem.New(problem.Usage, "0.001 takes one good release of a thousand back", "--alpha must be between 0 and 1")
	}
	p.alpha = alpha
	run, err := p.pipeline(c)
	if err != nil {
		return pipeline.Result{}, err
	}
	steps, err := run.Replay(c.Context, id)
	for _, s := range steps {
		p.told.answer(journal.TypeReplayed, "", s)
	}
	return pipeline.Result{Run: id}, err
}
