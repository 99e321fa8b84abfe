package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/report"
	"github.com/go-shipper/shipper/rollout"
)

func (p *program) reportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "one run as a whole: who released what, how it was judged, how it ended on each host",
		ArgsUsage: "RUN",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Usage: "write it to `FILE`; .md and .json say how"},
			&cli.StringFlag{Name: "format", Usage: "text, markdown or json (`FORMAT`)"},
		},
		Action: p.does("report", p.report),
	}
}

func (p *program) report(c *cli.Context) (pipeline.Result, error) {
	format, err := reportFormat(c)
	if err != nil {
		return pipeline.Result{}, err
	}
	run, err := p.pipeline(c)
	if err != nil {
		return pipeline.Result{}, err
	}
	records, err := run.Story(c.Context, c.Args().First())
	if len(records) == 0 {
		return pipeline.Result{}, err
	}
	whole := report.Run(records)
	result := pipeline.Result{State: rollout.State(whole.State), Run: whole.Run, Release: whole.Release}
	var text bytes.Buffer
	if format == "json" {
		if failed := json.NewEncoder(&text).Encode(whole); failed != nil {
			return result, failed
		}
	} else if failed := report.Document(&text, whole, format == "markdown", time.Local); failed != nil {
		return result, failed
	}
	switch out := c.String("out"); {
	case out != "":
		if failed := os.WriteFile(out, text.Bytes(), 0o644); failed != nil {
			return result, problem.Wrap(problem.Usage, failed, "write report", "name a file that can be written")
		}
	case p.told.json:
		p.told.record(journal.TypeReport, "", whole)
	default:
		_, failed := p.stdout.Write(text.Bytes())
		return result, cmp.Or(err, failed)
	}
	return result, err
}

// reportFormat also looks at the arguments: a run, and one only.
func reportFormat(c *cli.Context) (string, error) {
	known := []string{"text", "markdown", "json"}
	format := c.String("format")
	if err := atMostOne(c, "run"); err != nil {
		return "", err
	}
	switch {
	case c.Args().First() == "":
		return "", problem.New(problem.Usage, "`shipper history` lists the runs; `latest` is the latest", "report needs a run")
	case c.IsSet("out") && c.String("out") == "":
		return "", problem.New(problem.Usage, "name the file to write, like --out run.md", "--out is empty")
	case c.IsSet("format") && !slices.Contains(known, format):
		return "", problem.New(problem.Usage, problem.Suggest(format, known), "--format: %q is none", format)
	case format != "":
		return format, nil
	}
	switch strings.ToLower(filepath.Ext(c.String("out"))) {
	case ".md":
		return "markdown", nil
	case ".json":
		return "json", nil
	}
	return "text", nil
}
