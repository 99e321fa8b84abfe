package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/pipeline"
)

func (p *program) buildCommand() *cli.Command {
	return &cli.Command{
		Name:  "build",
		Usage: "build HEAD and bundle it; prints the path of the bundle",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the bundle to `DIR`; default: build.dist"},
			&cli.BoolFlag{Name: "push", Usage: "bring the bundle where `bundles` in shipper.yaml says"},
		},
		Action: p.simple("build", p.build),
	}
}

func (p *program) build(c *cli.Context, run verbs) (pipeline.Result, error) {
	if err := p.target.CheckFiles(); err != nil {
		return pipeline.Result{}, err
	}
	bundle, release, err := run.Build(c.Context, filepath.Dir(p.target.Path), c.String("output"))
	if err == nil && p.target.Package.MSI {
		err = p.msi(c.Context, bundle)
	}
	if err == nil && c.Bool("push") {
		err = run.Publish(c.Context, bundle)
	}
	if err == nil && !p.told.json {
		_, err = fmt.Fprintln(p.stdout, bundle)
	}
	return pipeline.Result{Release: release}, err
}

// msi makes the package that prepares a host, with the helper that a deploy
// would bring.
func (p *program) msi(ctx context.Context, bundle string) error {
	h, err := helperFor(ctx, p.target.Bootstrap.Helper, "windows", "amd64")
	if err != nil {
		return err
	}
	path, err := packaging.MSI(ctx, packaging.MSIRequest{
		Bundle: bundle, Helper: h.Bytes, Manufacturer: p.target.Package.Manufacturer, Out: filepath.Dir(bundle),
		Log: func(line string) { p.told.record(journal.TypeLog, "", journal.Note{Text: line}) },
	})
	if err == nil && !p.told.json {
		_, err = fmt.Fprintln(p.stdout, path)
	}
	return err
}
