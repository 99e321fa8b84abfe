package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
)

func (p *program) deployCommand() *cli.Command {
	return &cli.Command{
		Name:  "deploy",
		Usage: "release to all hosts of an environment; builds HEAD unless a bundle is given",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Usage: "release this `FILE`, made by shipper build"},
			&cli.StringFlag{Name: "release", Usage: "release the highest version among the bundles that `CONSTRAINT` allows, like ^1.4"},
			&cli.StringFlag{Name: "plan", Usage: "apply what `shipper plan --out FILE` wrote, exactly, or refuse; --bundle tells where its bundle lies now"},
			&cli.BoolFlag{Name: "allow-downgrade", Usage: "release a version below the one that is stable"},
			&cli.StringFlag{Name: "change", Usage: "the change `ID` that allows it outside of the change windows; recorded"},
			&cli.BoolFlag{Name: "irreversible", Usage: "there is no way back behind this release: a failure freezes it, and rollback refuses"},
			&cli.BoolFlag{Name: "hotfix", Usage: "stable is what burns: end a deploy that is under way, and take rollout.hotfixSteps"},
			unreachableFlag(),
		},
		Action: p.simple("deploy", p.deploy),
	}
}

func (p *program) deploy(c *cli.Context, run verbs) (pipeline.Result, error) {
	req, err := p.request(c)
	if err != nil {
		return pipeline.Result{}, err
	}
	return run.Deploy(c.Context, req)
}

// request is what the flags of deploy and plan ask for.
func (p *program) request(c *cli.Context) (pipeline.DeployRequest, error) {
	req := pipeline.DeployRequest{
		Dir: filepath.Dir(p.target.Path), Bundle: c.String("bundle"),
		Release: c.String("release"), AllowDowngrade: c.Bool("allow-downgrade"), Hotfix: c.Bool("hotfix"), Irreversible: c.Bool("irreversible"), Change: c.String("change"), Plan: c.String("plan"),
	}
	err := p.target.CheckFiles()
	switch {
	case c.IsSet("plan") && (c.IsSet("release") || c.IsSet("hotfix") || c.IsSet("allow-downgrade") || c.IsSet("irreversible")):
		err = problem.New(problem.Usage, "leave them out, or plan again with them", "--plan says already what --release, --hotfix, --irreversible and --allow-downgrade say")
	case c.IsSet("plan") && req.Plan == "":
		err = problem.New(problem.Usage, "name the file that shipper plan --out wrote", "--plan is empty")
	case c.IsSet("change") && strings.TrimSpace(req.Change) == "":
		err = problem.New(problem.Usage, "name the change as your records do, like CHG0012345", "--change is empty")
	case c.IsSet("bundle") && c.IsSet("release"):
		err = problem.New(problem.Usage, "leave one of them out", "--bundle and --release exclude each other")
	case c.IsSet("bundle"):
		err = readable(req.Bundle)
	case c.IsSet("release") && req.Release == "":
		err = problem.New(problem.Usage, "write a version, or a range like ^1.4", "--release is empty")
	}
	return req, err
}

// readable finds a missing bundle before any host is asked.
func readable(bundle string) error {
	file, err := os.Open(bundle)
	if err != nil {
		return problem.Wrap(problem.Usage, err, "read bundle", "make one with `shipper build -o DIR`")
	}
	return file.Close()
}
