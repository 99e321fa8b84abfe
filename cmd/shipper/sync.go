package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
)

func (p *program) syncCommand() *cli.Command {
	return &cli.Command{
		Name:  "sync",
		Usage: "bring hosts that were left behind to where the fleet is",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Usage: "the `FILE` that was deployed, for hosts that do not keep the release; default: found among the bundles"},
		},
		Action: p.simple("sync", func(c *cli.Context, run verbs) (pipeline.Result, error) {
			req, err := p.request(c)
			if err != nil {
				return pipeline.Result{}, err
			}
			return run.Sync(c.Context, req)
		}),
	}
}

// unreachableFlag overrules rollout.unreachable for one run.
func unreachableFlag() cli.Flag {
	return &cli.StringFlag{Name: "unreachable", Usage: "what a host means that does not answer: fail, skip or quorum; default: rollout.unreachable (`POLICY`)"}
}

func unreachable(policy string) (string, error) {
	known := []string{config.UnreachableFail, config.UnreachableSkip, config.UnreachableQuorum}
	if slices.Contains(known, policy) {
		return policy, nil
	}
	return "", problem.New(problem.Usage, problem.Suggest(policy, known), "--unreachable: %q is no policy", policy)
}
