package main

import (
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/pipeline"
)

func (p *program) verifyBuildCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify-build",
		Usage:     "build a bundle's commit again, elsewhere, and compare the bits",
		ArgsUsage: "BUNDLE",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "source", Usage: "clone of the repository: `DIR`; default: the folder of shipper.yaml"},
			keyFlag(),
		},
		Action: p.does("verify-build", p.verifyBuild),
	}
}

// verifyBuild verifies first: what a stranger made is not worth a build.
func (p *program) verifyBuild(c *cli.Context) (pipeline.Result, error) {
	bundle, found, err := inspected(c)
	if err != nil {
		return pipeline.Result{}, err
	}
	source := c.String("source")
	if source == "" {
		source = filepath.Dir(c.String("config"))
	}
	log := func(line string) { p.told.record(journal.TypeLog, "", journal.Note{Text: line}) }
	m, err := packaging.Rebuild(c.Context, packaging.RebuildRequest{Bundle: bundle, Source: source, Log: log})
	if err != nil {
		return pipeline.Result{Release: packaging.Release(found.Manifest)}, err
	}
	v := verified(bundle, found)
	v.Rebuilt = true
	p.told.answer(journal.TypeVerified, "", v)
	return pipeline.Result{Release: packaging.Release(m)}, nil
}
