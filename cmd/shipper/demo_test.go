package main

import (
	"context"
	"errors"
	"testing"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

func TestHowADemoEnds(t *testing.T) {
	broken := errors.New("deploy 2.0.0: exit code -1, want 0")
	stopped, stop := context.WithCancelCause(t.Context())
	stop(problem.New(problem.Aborted, "", "interrupted by SIGINT"))
	for _, tt := range []struct {
		name  string
		ctx   context.Context
		err   error
		state rollout.State
		exit  int
	}{
		{"as told", t.Context(), nil, rollout.Promoted, 0},
		{"otherwise", t.Context(), broken, rollout.Failed, 1},
		{"by Ctrl-C", stopped, broken, rollout.Aborted, 5},
	} {
		result, err := demoEnded(tt.ctx, tt.err)
		if exit := exitCode("demo", result.State, err); result.State != tt.state || exit != tt.exit {
			t.Errorf("%s: %s, exit %d (%v); want %s, %d", tt.name, result.State, exit, err, tt.state, tt.exit)
		}
	}
}
