package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Run runs the app until ctx ends, a signal or the service manager stops it,
// or it ends by itself. It returns nil after a clean stop, else why the
// service failed. Run takes over SIGINT, SIGTERM and SIGHUP meanwhile, except
// under the service manager of Windows.
func Run(ctx context.Context, app App, opts ...Option) (err error) {
	s, err := newService(app, opts)
	if err != nil {
		return err
	}
	defer func() {
		ended := err
		for _, f := range slices.Backward(s.o.atEnd) {
			err = errors.Join(err, f(ended))
		}
	}()
	ctx = s.bind(ctx)
	if s.mode == WindowsService {
		return s.runWindowsService(ctx)
	}
	return s.runProcess(ctx)
}

// Main is the whole main function of a service called name: a verb as first
// argument (install, uninstall, start, stop, restart, status, control) is
// carried out, anything else is left to the app and the service runs. The
// process then ends: 0 after a clean stop, 1 after a failure, 2 for wrong usage.
func Main(name string, app App, opts ...Option) {
	opts = append([]Option{WithName(name)}, opts...)
	if verb, ok := verbOf(os.Args[1:]); ok {
		os.Exit(exitCode(os.Stderr, Verb(context.Background(), os.Stdout, verb, os.Args[2:], opts...)))
	}
	os.Exit(exitCode(os.Stderr, Run(context.Background(), app, opts...)))
}

// ErrUsage says that a verb was given wrongly.
var ErrUsage = errors.New("wrong usage")

func exitCode(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "error:", err)
	if errors.Is(err, ErrUsage) {
		return 2
	}
	return 1
}
