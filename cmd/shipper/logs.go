package main

import (
	"bytes"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
)

func (p *program) logsCommand() *cli.Command {
	return &cli.Command{
		Name:  "logs",
		Usage: "the end of the service's log on each host",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "host", Usage: "of this `NAME` only"},
			&cli.IntFlag{Name: "lines", Aliases: []string{"n"}, Usage: "the last `N` lines", Value: 100},
			&cli.StringFlag{Name: "run", Usage: "what a release said last that failed in this `RUN`"},
			&cli.BoolFlag{Name: "failed", Usage: "the same, of the latest that failed"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on until interrupted"},
		},
		Action: p.simple("logs", p.logs),
	}
}

func (p *program) logs(c *cli.Context, run verbs) (pipeline.Result, error) {
	if c.Int("lines") < 0 {
		return pipeline.Result{}, problem.New(problem.Usage, "0 or more; `--follow` tells what comes", "logs: %d lines are not possible", c.Int("lines"))
	}
	req := pipeline.LogsRequest{
		Host: c.String("host"), Lines: c.Int("lines"), Follow: c.Bool("follow"), Failed: c.Bool("failed") || c.String("run") != "", Run: c.String("run"),
	}
	if req.Failed && req.Follow {
		return pipeline.Result{}, problem.New(problem.Usage, "leave out --follow", "logs: what failed writes nothing any more")
	}
	return pipeline.Result{}, run.Logs(c.Context, p.asked(), req)
}

// asked is where text goes that was asked for: stdout, or records of its
// lines.
func (p *program) asked() io.Writer {
	if p.told == nil || !p.told.json {
		return p.stdout
	}
	if p.text == nil {
		p.text = &lines{told: p.told}
	}
	return p.text
}

// lines makes a record of each line written to it.
type lines struct {
	told *teller
	rest []byte
}

// maxLine bounds what is kept of a line without an end.
const maxLine = 64 << 10

func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found && len(l.rest) < maxLine {
			return len(b), nil
		}
		l.rest = append([]byte(nil), rest...)
		l.told.record(journal.TypeLog, "", journal.Note{Text: string(bytes.TrimSuffix(line, []byte("\r")))})
	}
}

// flush tells a last line without an end.
func (l *lines) flush() {
	if l != nil && len(l.rest) > 0 {
		_, _ = l.Write([]byte("\n")) // it only makes a record
	}
}
