package main

import (
	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/rollout"
)

func (p *program) pauseCommand() *cli.Command {
	return &cli.Command{
		Name: "pause", Usage: "make the run hold its weight until resume, promote or abort",
		Action: p.simple("pause", ask("pause")),
	}
}

func (p *program) abortCommand() *cli.Command {
	return &cli.Command{
		Name: "abort", Usage: "end the run; every host goes back to the release before it",
		Action: p.simple("abort", ask("abort")),
	}
}

func (p *program) resumeCommand() *cli.Command {
	return &cli.Command{
		Name: "resume", Usage: "go on with a paused run, or finish one that was cut off",
		Flags:  []cli.Flag{changeFlag()},
		Action: p.simple("resume", goOn("resume")),
	}
}

func (p *program) promoteCommand() *cli.Command {
	return &cli.Command{
		Name: "promote", Usage: "end the pause of a run",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "full", Usage: "skip all steps that are left"},
			changeFlag(),
		},
		Action: p.simple("promote", func(c *cli.Context, run verbs) (pipeline.Result, error) {
			if c.Bool("full") {
				return goOn("promote-full")(c, run)
			}
			return goOn("promote")(c, run)
		}),
	}
}

func changeFlag() cli.Flag {
	return &cli.StringFlag{Name: "change", Usage: "the change `ID` that allows the next batches outside of the change windows; recorded"}
}

// ask leaves a request for the run that is alive.
func ask(kind string) func(*cli.Context, verbs) (pipeline.Result, error) {
	return func(c *cli.Context, run verbs) (pipeline.Result, error) {
		return run.Ask(c.Context, kind)
	}
}

// goOn asks the run that is alive; one that lost its controller is taken on
// by this one.
func goOn(kind string) func(*cli.Context, verbs) (pipeline.Result, error) {
	return func(c *cli.Context, run verbs) (pipeline.Result, error) {
		result, err := run.Ask(c.Context, kind)
		if err != nil && (result.State == rollout.Lost || result.State == rollout.Split) {
			return run.Resume(c.Context, kind)
		}
		return result, err
	}
}
