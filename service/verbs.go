package service

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrNotInstalled says that the service manager does not know the service.
var ErrNotInstalled = errors.New("not installed")

// verbs of every service.
func verbs() []string {
	return []string{"install", "uninstall", "start", "stop", "restart", "status", "control"}
}

// IsVerb reports whether [Main] carries out a verb, by the command line without
// the program's name: then the service does not run, and what it opens for that
// had better stay closed.
func IsVerb(args []string) bool {
	_, ok := verbOf(args)
	return ok
}

// verbOf finds a verb in a command line without the program's name.
func verbOf(args []string) (string, bool) {
	if len(args) == 0 || !slices.Contains(verbs(), args[0]) {
		return "", false
	}
	return args[0], true
}

// verbTime bounds a verb, start and stop time of the service included.
const verbTime = 5 * time.Minute

// Verb carries out what every service can do with itself:
//
//	install [ARGS…]   registers this executable, to be run with ARGS
//	uninstall         stops it and takes the registration away
//	start, stop, restart
//	status            prints the state; ErrNotInstalled if there is none
//	control [-dir DIR] [-slot SLOT] COMMAND [KEY=VALUE]
//	                  drives a running instance, see [Control]
//
// opts are those that Run gets; the name, the registration and the folder of
// the remote control matter. ErrUsage says that the verb was given wrongly.
func Verb(ctx context.Context, out io.Writer, verb string, args []string, opts ...Option) error {
	o := options{name: "service", start: DefaultStartTimeout, drain: DefaultDrainTimeout, slot: os.Getenv("SHIPPER_SLOT")}
	for _, set := range opts {
		set(&o)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, verbTime, fmt.Errorf("%s took longer than %s", verb, verbTime))
	defer cancel()
	if verb == "control" {
		return controlVerb(ctx, out, args, o)
	}
	if verb != "install" && len(args) > 0 {
		return fmt.Errorf("%w: %s takes no arguments", ErrUsage, verb)
	}
	m, err := newManager(o)
	if err != nil {
		return err
	}
	defer m.close()
	if err := m.carryOut(ctx, out, verb, args); err != nil {
		return fmt.Errorf("%s %s: %w", verb, o.name, err)
	}
	return nil
}

func (m *manager) carryOut(ctx context.Context, out io.Writer, verb string, args []string) error {
	switch verb {
	case "install":
		r, err := m.o.registration.withDefaults(m.o.name)
		if err != nil {
			return err
		}
		exe, err := executable()
		if err != nil {
			return err
		}
		r.Args = append(slices.Clone(r.Args), args...)
		return m.install(ctx, exe, r)
	case "uninstall":
		return m.uninstall(ctx)
	case "start":
		return m.start(ctx)
	case "stop":
		return m.stop(ctx)
	case "restart":
		if err := m.stop(ctx); err != nil {
			return err
		}
		return m.start(ctx)
	case "status":
		status, err := m.status(ctx)
		if err == nil {
			_, err = fmt.Fprintln(out, status)
		}
		return err
	default:
		return fmt.Errorf("%w: want one of %s", ErrUsage, strings.Join(verbs(), ", "))
	}
}

// executable is this program by a path that stays.
func executable() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find own executable: %w", err)
	}
	return filepath.Abs(exe)
}

// controlVerb sends a command and prints the report as JSON.
func controlVerb(ctx context.Context, out io.Writer, args []string, o options) error {
	flags := flag.NewFlagSet("control", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	dir := flags.String("dir", o.controlDir, "")
	slot := flags.String("slot", o.slot, "")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%w: control: %w", ErrUsage, err)
	}
	if flags.NArg() < 1 || flags.NArg() > 2 || *dir == "" {
		return fmt.Errorf("%w: want control [-dir DIR] [-slot SLOT] COMMAND [KEY=VALUE], with a DIR unless the service has one", ErrUsage)
	}
	c := Command{Command: strings.ToUpper(flags.Arg(0))}
	c.Key, c.Value, _ = strings.Cut(flags.Arg(1), "=")
	a, err := Control(ctx, *dir, *slot, c)
	if a.Report != nil {
		report := json.NewEncoder(out)
		report.SetIndent("", "  ")
		err = errors.Join(err, report.Encode(a.Report))
	}
	return err
}
