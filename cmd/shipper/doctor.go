package main

import (
	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/pipeline"
)

func (p *program) doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "examine all hosts: what keeps releases from working there, and what to do about it",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Usage: "look whether there is room for this `FILE`, made by shipper build"},
		},
		Action: p.simple("doctor", p.doctor),
	}
}

func (p *program) doctor(c *cli.Context, run verbs) (pipeline.Result, error) {
	need, err := p.need(c.String("bundle"))
	if err != nil {
		return pipeline.Result{}, err
	}
	return pipeline.Result{}, run.Doctor(c.Context, need, func(e pipeline.Examined) {
		for _, f := range e.Findings {
			p.told.answer(journal.TypeFinding, e.Host, journal.Finding{Check: f.Check, State: f.State, Detail: f.Detail, Hint: f.Hint})
		}
	})
}

// need is the room for what arrives, what is unpacked from it, and as many
// releases of that size as are kept.
func (p *program) need(bundle string) (int64, error) {
	if bundle == "" {
		return 0, nil
	}
	if err := readable(bundle); err != nil {
		return 0, err
	}
	b, err := packaging.Open(bundle)
	if err != nil {
		return 0, err
	}
	defer b.Close()
	var largest int64
	for _, t := range b.Manifest.Targets {
		var size int64
		for _, f := range t.Files {
			size += f.Size
		}
		largest = max(largest, size)
	}
	return largest * int64(2+p.target.Retention.Releases), nil
}
