package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-shipper/shipper/problem"
)

// How long a verb may take to tidy up after a signal.
const (
	grace    = 5 * time.Second  // a run; what is left the hosts undo
	labGrace = 60 * time.Second // nobody else would take a lab down
)

func graceOf(verb string) time.Duration {
	if first, _, _ := strings.Cut(verb, " "); first == "lab" || first == "demo" {
		return labGrace
	}
	return grace
}

// interruptible returns a context that the first SIGINT or SIGTERM cancels,
// with the signal in its cause. The second ends the program at once: what is
// left, the hosts undo by themselves.
func interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	done := make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for count := 0; ; count++ {
			select {
			case s := <-signals:
				if count > 0 {
					os.Exit(exitAborted)
				}
				cancel(problem.New(problem.Aborted, "", "interrupted by %s", signalName(s)))
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

func signalName(s os.Signal) string {
	switch s {
	case os.Interrupt:
		return "SIGINT"
	case syscall.SIGTERM:
		return "SIGTERM"
	}
	return fmt.Sprint(s)
}

// overdue fires when the grace after a signal is over.
func overdue(ctx context.Context, grace time.Duration) <-chan time.Time {
	late := make(chan time.Time, 1)
	context.AfterFunc(ctx, func() {
		time.AfterFunc(grace, func() { late <- time.Now() })
	})
	return late
}

func errOverdue(verb string) error {
	return problem.New(problem.Aborted, "`shipper status` tells how the hosts stand",
		"interrupted: %s did not end within %v; what is left the hosts undo when the lease ends", verb, graceOf(verb))
}
