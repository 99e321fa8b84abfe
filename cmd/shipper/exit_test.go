package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/transport"
)

func of(k problem.Kind) error { return problem.New(k, "", "x") }

func TestExitCode(t *testing.T) {
	plain := errors.New("x")
	for _, c := range []struct {
		name  string
		verb  string
		state rollout.State
		err   error
		want  int
	}{
		{"done", "deploy", rollout.Promoted, nil, 0},
		{"already running", "deploy", "", nil, 0},
		{"failed", "deploy", rollout.Failed, plain, 1},
		{"usage", "deploy", rollout.Failed, of(problem.Usage), 2},
		{"rolled back", "deploy", rollout.RolledBack, of(problem.RolledBack), 3},
		{"rolled back without error", "deploy", rollout.RolledBack, nil, 3},
		{"rolled back with plain error", "deploy", rollout.RolledBack, plain, 3},
		{"promote rolled back", "promote", rollout.RolledBack, of(problem.RolledBack), 3},
		{"resume rolled back", "resume", rollout.RolledBack, of(problem.RolledBack), 3},
		{"paused", "deploy", rollout.Paused, of(problem.Paused), 4},
		{"aborted", "deploy", rollout.Aborted, of(problem.Aborted), 5},
		{"cancelled", "deploy", "", context.Canceled, 5},
		{"locked", "deploy", rollout.Failed, of(problem.Locked), 6},
		{"unreachable", "deploy", rollout.Failed, of(problem.Unreachable), 7},
		{"verification", "deploy", rollout.Failed, of(problem.Verification), 8},
		{"split", "deploy", rollout.Split, of(problem.Behind), 9},
		{"lost", "deploy", rollout.Lost, of(problem.Failed), 1},
		{"abort that worked", "abort", rollout.Aborted, nil, 0},
		{"pause that worked", "pause", rollout.Paused, nil, 0},
		{"rollback that worked", "rollback", rollout.RolledBack, nil, 0},
		{"rollback that failed", "rollback", rollout.RolledBack, of(problem.RolledBack), 1},
		{"rollback of a live run", "rollback", rollout.Running, of(problem.Locked), 6},
		{"status of what was rolled back", "status", rollout.RolledBack, nil, 0},
		{"wrapped", "deploy", "", fmt.Errorf("x: %w", of(problem.Locked)), 6},
		{"outermost counts", "deploy", "", problem.Wrap(problem.RolledBack, of(problem.Unreachable), "x", ""), 3},
		{"strongest host counts", "deploy", "", errors.Join(of(problem.Locked), of(problem.Unreachable), plain), 7},
		{"strongest behind a name", "deploy", "", fmt.Errorf("push: %w", errors.Join(of(problem.Unreachable), of(problem.Verification))), 8},
		{"transport denied", "deploy", "", &transport.Error{Kind: transport.Denied, Err: plain}, 7},
		{"transport broke", "deploy", rollout.RolledBack, &transport.Error{Kind: transport.Broken, Err: plain}, 3},
	} {
		if got := exitCode(c.verb, c.state, c.err); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestPrecedence(t *testing.T) {
	order := []int{9, 8, 7, 6, 5, 3, 4, 1}
	for i, a := range order {
		for _, b := range order[i:] {
			if stronger(a, b) != a || stronger(b, a) != a {
				t.Errorf("%d and %d: %d", a, b, stronger(b, a))
			}
		}
	}
}

func TestStateOf(t *testing.T) {
	for exit, want := range map[int]rollout.State{0: "", 1: rollout.Failed, 2: rollout.Failed, 3: rollout.RolledBack, 4: rollout.Paused, 5: rollout.Aborted, 7: rollout.Failed} {
		if got := stateOf(pipeline.Result{}, exit); got != want {
			t.Errorf("%d: %s, want %s", exit, got, want)
		}
	}
	if got := stateOf(pipeline.Result{State: rollout.Failed}, 5); got != rollout.Aborted {
		t.Error(got)
	}
	if got := stateOf(pipeline.Result{State: rollout.Split}, 9); got != rollout.Split {
		t.Error(got)
	}
}
