package main

import (
	"maps"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
)

// countTraffic is for how long a plan counts the requests that come.
const countTraffic = 5 * time.Second

func (p *program) planCommand() *cli.Command {
	return &cli.Command{
		Name:  "plan",
		Usage: "tell what a deploy would send to each host, and what a bad release would cost; changes nothing",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Usage: "plan for this `FILE`, made by shipper build"},
			&cli.StringFlag{Name: "release", Usage: "plan for the highest version among the bundles that `CONSTRAINT` allows, like ^1.4"},
			&cli.Float64Flag{Name: "rate", Usage: "expect `N` requests a second on all hosts together, instead of what comes in five seconds"},
			&cli.StringFlag{Name: "out", Usage: "write the plan to `FILE`, for deploy --plan"},
			&cli.BoolFlag{Name: "allow-downgrade", Usage: "with --out: the deploy may release a version below the one that is stable"},
			&cli.BoolFlag{Name: "irreversible", Usage: "there is no way back behind this release: tell what a failure would mean; with --out: the deploy says so too"},
			&cli.BoolFlag{Name: "hotfix", Usage: "with --out: the deploy is a hotfix"},
		},
		Action: p.simple("plan", p.plan),
	}
}

func (p *program) plan(c *cli.Context, run verbs) (pipeline.Result, error) {
	req, err := p.request(c)
	out := c.String("out")
	switch {
	case err != nil:
		return pipeline.Result{}, err
	case c.IsSet("rate") && !(c.Float64("rate") > 0 && c.Float64("rate") < 1e9):
		return pipeline.Result{}, problem.New(problem.Usage, "write the requests a second, like --rate 50", "--rate must be above 0")
	case c.IsSet("out") && out == "":
		return pipeline.Result{}, problem.New(problem.Usage, "name the file to write, like --out release.plan", "--out is empty")
	}
	req.Record = out != ""
	req.Expect = &pipeline.Expect{Rate: c.Float64("rate"), Count: countTraffic}
	planned, err := run.Plan(c.Context, req)
	if err != nil {
		return pipeline.Result{}, err
	}
	for _, host := range slices.Sorted(maps.Keys(planned.Travel)) {
		p.told.answer(journal.TypeTravel, host, planned.Travel[host])
	}
	if planned.Expect != nil {
		p.told.answer(journal.TypeForecast, "", planned.Expect)
	}
	if req.Record {
		if err := planned.File.Write(out); err != nil {
			return pipeline.Result{}, err
		}
		p.told.answer(journal.TypePlan, "", journal.Plan{File: out, Release: planned.Release, Hosts: len(planned.File.Hosts)})
	}
	return pipeline.Result{Release: planned.Release}, nil
}
