package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/problem"
)

type streams struct {
	in       io.Reader
	out, err io.Writer
}

// call is one invocation of a verb.
type call struct {
	streams
	root   string // --root; empty: the folders of a Windows host
	config string // --config, of wrap
	args   []string
}

func (c call) layout() host.Layout { return host.DefaultLayout(c.root) }

// verb is what one word of the command line does.
type verb struct {
	args     string // as the usage shows them
	min, max int    // how many arguments
	about    string
	do       func(context.Context, call) error
}

func verbs() map[string]verb {
	return map[string]verb{
		"status":      {"[NAME]", 0, 1, "what runs here, with which share of the traffic", status},
		"rollback":    {"NAME [REASON]", 1, 2, "go back to the release before, on this host alone", rollback},
		"freeze":      {"NAME [MESSAGE]", 1, 2, "refuse new releases until thawed", freeze},
		"thaw":        {"NAME", 1, 1, "allow releases again", thaw},
		"forget-keys": {"NAME", 1, 1, "let the next deploy bring the keys that releases must be signed by", forgetKeys},
		"doctor":      {"", 0, 0, "look for what keeps releases from working (started by shipper doctor)", examine},
		"uninstall":   {"", 0, 0, "take the guard off a host without services", uninstall},
		"version":     {"", 0, 0, "the version and digest of this program", version},
		"serve":       {"", 0, 0, "connect a controller with the guard (started by it)", serve},
		"guard":       {"", 0, 0, "the guard's service", guard},
		"router":      {"restart|upgrade|status", 0, 1, "let another router take over, without losing a connection", routerVerb},
		"wrap":        {"--config FILE", 0, 0, "a console program's service", wrap},
	}
}

const usage = `shipper-host is shipper on a Windows host. At its console, without a controller:

  shipper-host status [NAME]            what runs here, with which share of the traffic
  shipper-host rollback NAME [REASON]   go back to the release before, on this host alone;
                                        behind one that is irreversible only for a reason
  shipper-host freeze NAME [MESSAGE]    refuse new releases until thawed
  shipper-host thaw NAME                allow releases again
  shipper-host forget-keys NAME         let the next deploy bring the keys that releases must be signed by
  shipper-host router restart           let another router take over, without losing a connection
  shipper-host router upgrade           the same, by the newest helper that is here
  shipper-host router status            which router serves
  shipper-host uninstall                take the guard off a host without services
  shipper-host version                  the version and digest of this program

serve, guard, router and wrap are started by shipper itself.
--root DIR stands for the folders of a Windows host, in tests and on other systems.
`

// run returns the exit code: 0 done, 1 failed, 2 wrong usage.
func run(args []string, s streams) (code int) {
	defer func() {
		if v := recover(); v != nil {
			fmt.Fprintf(s.err, "error: panic: %v\n", v)
			code = 1
		}
	}()
	if len(args) > 0 && args[0] == scm.LaunchArg {
		exit, err := scm.Launch(args[1:])
		complain(s.err, err)
		return int(exit)
	}
	v, c, err := parse(args, s)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(s.out, usage)
		return 0
	case err == nil:
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		err = v.do(ctx, c)
	}
	complain(s.err, err)
	return exitCode(err)
}

func exitCode(err error) int {
	var exit *scm.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return int(scm.ExitCode(err))
	case problem.KindOf(err) == problem.Usage:
		return 2
	default:
		return 1
	}
}

// complain says what failed and, where there is a way, what to do about it.
func complain(w io.Writer, err error) {
	if err == nil {
		return
	}
	fmt.Fprintf(w, "error: %v\n", err)
	hint := problem.HintOf(err)
	var told *rpc.Error
	if hint == "" && errors.As(err, &told) {
		hint = told.Hint
	}
	if hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}

// parse takes flags before and after the verb and its arguments.
func parse(args []string, s streams) (verb, call, error) {
	c := call{streams: s}
	flags := flag.NewFlagSet("shipper-host", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.root, "root", "", "")
	flags.StringVar(&c.config, "config", "", "")
	var words []string
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return verb{}, c, err
			}
			return verb{}, c, wrongUsage("%v", err)
		}
		if args = flags.Args(); len(args) == 0 {
			break
		}
		words, args = append(words, args[0]), args[1:]
	}
	if len(words) == 0 {
		return verb{}, c, wrongUsage("no verb given")
	}
	if words[0] == "help" {
		return verb{}, c, flag.ErrHelp
	}
	v, ok := verbs()[words[0]]
	c.args = words[1:]
	switch {
	case !ok:
		return v, c, wrongUsage("unknown verb %q", words[0])
	case len(c.args) < v.min || len(c.args) > v.max:
		return v, c, wrongUsage("%s: want `shipper-host %s`", words[0], join(words[0], v.args))
	case (c.config != "") != (words[0] == "wrap"):
		return v, c, wrongUsage("--config FILE belongs to wrap, and wrap needs it")
	}
	return v, c, nil
}

func join(word, args string) string {
	if args == "" {
		return word
	}
	return word + " " + args
}

func wrongUsage(format string, args ...any) error {
	return problem.New(problem.Usage, "`shipper-host help` lists the verbs", format, args...)
}
