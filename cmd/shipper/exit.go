package main

import (
	"context"
	"errors"
	"slices"

	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/transport"
)

// Exit codes; docs/CLI.md explains them.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitRolledBack   = 3
	exitPaused       = 4
	exitAborted      = 5
	exitLocked       = 6
	exitUnreachable  = 7
	exitVerification = 8
	exitBehind       = 9
)

// precedence orders codes where several hold, the strongest first.
func precedence() []int {
	return []int{exitBehind, exitVerification, exitUnreachable, exitLocked, exitAborted, exitRolledBack, exitPaused, exitFailed, exitUsage}
}

// exitCode is the one mapping from how a verb ended to the exit code. A
// forward verb that could not keep the new release is told by the state of
// its run; every other verb by its error alone.
func exitCode(verb string, state rollout.State, err error) int {
	if err == nil {
		if forward(verb) {
			return codeOfState(state)
		}
		return exitDone
	}
	code := codeOfError(err)
	switch {
	case !forward(verb) && code == exitRolledBack:
		return exitFailed
	case forward(verb) && code == exitFailed && state != "":
		return stronger(code, codeOfState(state))
	}
	return code
}

func forward(verb string) bool {
	return slices.Contains([]string{"deploy", "promote", "resume", "retry", "watch"}, verb)
}

func codeOfState(state rollout.State) int {
	switch state {
	case rollout.RolledBack:
		return exitRolledBack
	case rollout.Paused:
		return exitPaused
	case rollout.Aborted:
		return exitAborted
	case rollout.Failed, rollout.Lost:
		return exitFailed
	case rollout.Split:
		return exitBehind
	}
	return exitDone
}

// codeOfError looks at the outermost problem; of errors joined side by side
// (one per host) the strongest counts.
func codeOfError(err error) int {
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch x := e.(type) {
		case *problem.Error:
			return codeOfKind(x.Kind)
		case *transport.Error:
			return codeOfTransport(x.Kind)
		case interface{ Unwrap() []error }:
			return strongest(x.Unwrap())
		}
	}
	if errors.Is(err, context.Canceled) {
		return exitAborted
	}
	return exitFailed
}

func strongest(errs []error) int {
	code := exitUsage
	for _, e := range errs {
		code = stronger(code, codeOfError(e))
	}
	return code
}

func stronger(a, b int) int {
	for _, code := range precedence() {
		if code == a || code == b {
			return code
		}
	}
	return max(a, b)
}

func codeOfKind(k problem.Kind) int {
	switch k {
	case problem.Usage:
		return exitUsage
	case problem.RolledBack:
		return exitRolledBack
	case problem.Paused:
		return exitPaused
	case problem.Aborted:
		return exitAborted
	case problem.Locked:
		return exitLocked
	case problem.Unreachable:
		return exitUnreachable
	case problem.Verification:
		return exitVerification
	case problem.Behind:
		return exitBehind
	}
	return exitFailed
}

func codeOfTransport(k transport.Kind) int {
	switch k {
	case transport.Unreachable, transport.Denied, transport.Certificate:
		return exitUnreachable
	}
	return exitFailed
}

// stateOf names how a verb ended for the result record, where its run does
// not say.
func stateOf(result pipeline.Result, exit int) rollout.State {
	switch {
	case result.State == rollout.Failed && exit == exitAborted:
		return rollout.Aborted // stopped before there was a run to abort
	case result.State != "":
		return result.State
	}
	switch exit {
	case exitDone:
		return ""
	case exitRolledBack:
		return rollout.RolledBack
	case exitPaused:
		return rollout.Paused
	case exitAborted:
		return rollout.Aborted
	}
	return rollout.Failed
}
