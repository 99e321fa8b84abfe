package main

import (
	"context"
	"errors"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// program is one invocation: its streams, its way to tell, and how it ends.
type program struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	told   *teller
	text   *lines // what was asked for, with --json
	start  func(*pipeline.Pipeline) verbs
	target config.Target // of the verbs that work on one
	alpha  float64       // of analyze; 0: as configured
	verb   string
	result pipeline.Result
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr}
	p.start = func(run *pipeline.Pipeline) verbs { return run }
	return p.main(ctx, args)
}

func (p *program) main(ctx context.Context, args []string) int {
	p.told = newTeller(p.stdout, p.stderr, args)
	app := p.app()
	verb := verbOf(app, args) // for the result, should the line be unreadable
	p.verb = verb
	ctx, stop := interruptible(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.guarded(ctx, app, args) }()
	select {
	case err := <-ended:
		p.text.flush()
		return p.told.finish(p.verb, p.result, err)
	case <-overdue(ctx, graceOf(verb)):
		return p.told.finish(verb, pipeline.Result{State: rollout.Lost}, errOverdue(verb))
	}
}

// guarded turns a panic into an error: people never see a stack.
func (p *program) guarded(ctx context.Context, app *cli.App, args []string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = crashed(r, debug.Stack(), p.told.verbose)
		}
	}()
	ordered, err := arrange(app, args)
	if err != nil {
		return err
	}
	return usage(app.RunContext(ctx, ordered))
}

// app lists the verbs in the order in which people meet them.
func (p *program) app() *cli.App {
	app := &cli.App{
		Name:            "shipper",
		Usage:           "release Go services to Windows hosts without downtime, and take them back",
		UsageText:       "shipper VERB [flags] [arguments]",
		HideVersion:     true,
		HideHelpCommand: true,
		Reader:          p.stdin,
		Writer:          p.asked(),
		ErrWriter:       p.stderr,
		Flags:           globals(),
		Action:          p.noVerb,
		OnUsageError:    func(_ *cli.Context, err error, _ bool) error { return err },
		ExitErrHandler:  func(*cli.Context, error) {}, // the exit code is ours to choose
		Commands: []*cli.Command{
			p.initCommand(), p.validateCommand(), p.buildCommand(),
			p.planCommand(), p.deployCommand(), p.statusCommand(), p.historyCommand(), p.reportCommand(),
			p.promoteCommand(), p.pauseCommand(), p.resumeCommand(), p.abortCommand(), p.retryCommand(), p.rollbackCommand(), p.syncCommand(),
			p.watchCommand(), p.analyzeCommand(), p.keygenCommand(), p.verifyCommand(), p.verifyBuildCommand(),
			p.doctorCommand(), p.logsCommand(), p.lockCommand(), p.pruneCommand(), p.removeCommand(),
			labCommand(), p.demoCommand(), p.versionCommand(), p.completionCommand(),
		},
	}
	for _, c := range app.Commands {
		c.OnUsageError = app.OnUsageError
		c.HideHelpCommand = true
	}
	return app
}

func globals() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Aliases: []string{"c"}, Value: config.DefaultPath, Usage: "the configuration `FILE`"},
		&cli.StringFlag{Name: "env", Aliases: []string{"e"}, Usage: "the environment `NAME`; may be left out when there is only one"},
		&cli.BoolFlag{Name: "json", Usage: "one JSON object per line on stdout, the last is the result"},
		&cli.BoolFlag{Name: "verbose", Usage: "tell more"},
		&cli.BoolFlag{Name: "no-color", Usage: "no colours; NO_COLOR does the same"},
	}
}

func (p *program) noVerb(c *cli.Context) error {
	return problem.New(problem.Usage, "`shipper --help` lists the verbs", "no verb given")
}

// does wraps the body of a verb: its name and its result go into the last
// record.
func (p *program) does(verb string, body func(*cli.Context) (pipeline.Result, error)) cli.ActionFunc {
	return func(c *cli.Context) error {
		p.verb = verb
		var err error
		p.result, err = body(c)
		return err
	}
}

// usage gives what the flag parser complains about its kind. Everything else
// that goes wrong is a problem already, or one of the system.
func usage(err error) error {
	var p *problem.Error
	if err == nil || errors.As(err, &p) || !strings.HasPrefix(err.Error(), "invalid value") {
		return err
	}
	return problem.Wrap(problem.Usage, err, "read the command line", "`shipper VERB --help` tells the flags of a verb")
}

// wanted reports whether a switch stands among the arguments, before they
// are parsed: usage errors too are told as it says.
func wanted(args []string, flag string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, flag) || slices.Contains(args, flag+"=true")
}
