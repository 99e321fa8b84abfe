package scm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Causes of the context that a service's body gets, for context.Cause.
var (
	ErrStop     = errors.New("asked to stop")
	ErrShutdown = errors.New("the system shuts down")
)

// Body is what a service does. It calls ready when it serves (before that the
// service manager shows it as starting), and returns when ctx ends or when it
// cannot go on: nil is a clean end, an error a failure.
type Body func(ctx context.Context, ready func()) error

// ExitError is a failure with an exit code of its own.
type ExitError struct {
	Code uint32
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap gives the reason.
func (e *ExitError) Unwrap() error { return e.Err }

// ExitCode is what a process or service ends with: 0 for nil, the code of an
// ExitError in the chain, else 1.
func ExitCode(err error) uint32 {
	var exit *ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.Code != 0:
		return exit.Code
	default:
		return 1
	}
}

// PanicError is a body's panic, kept whole for the log.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// guarded runs the body and makes its panic an error, so that the service
// manager hears of a failure and the caller can write the text down.
func guarded(ctx context.Context, run Body, ready func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return run(ctx, ready)
}

// runConsole runs the body under a person or another supervisor: SIGINT,
// SIGTERM and ctrl-break stop it.
func runConsole(run Body) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		select {
		case <-signals:
			cancel(ErrStop)
		case <-ctx.Done():
		}
	}()
	return guarded(ctx, run, func() {})
}
