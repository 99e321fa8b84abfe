package main

import (
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
)

func (p *program) planCommand() *cli.Command {
	return &cli.Command{
		Name:  "plan",
		Usage: "tell what a deploy would send to each host; changes nothing",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Usage: "plan for this `FILE`, made by shipper build"},
			&cli.StringFlag{Name: "release", Usage: "plan for the highest version among the bundles that `CONSTRAINT` allows, like ^1.4"},
		},
		Action: p.simple("plan", p.plan),
	}
}

func (p *program) plan(c *cli.Context, run verbs) (pipeline.Result, error) {
	req, err := p.request(c)
	if err != nil {
		return pipeline.Result{}, err
	}
	r, hosts, err := run.Travel(c.Context, req)
	if err != nil {
		return pipeline.Result{}, err
	}
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		p.told.answer(journal.TypeTravel, host, hosts[host])
	}
	return pipeline.Result{Release: r}, nil
}
