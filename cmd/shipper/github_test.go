package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

func TestJobSummary(t *testing.T) {
	path := filepath.Join(t.TempDir(), "summary.md")
	t.Setenv("GITHUB_STEP_SUMMARY", path)
	hosts := &scripted{deploy: func(context.Context, pipeline.DeployRequest) (pipeline.Result, error) {
		return pipeline.Result{State: rollout.Promoted, Run: "r1", Release: v2}, nil
	}}
	for range 2 {
		if _, errs, exit := shipper(t, hosts, "deploy"); exit != 0 {
			t.Fatal(errs)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || bytes.Count(got, []byte("## deploy 2.0.0: promoted")) != 2 {
		t.Errorf("%v\n%s", err, got)
	}
}

// Later steps and the page of the job learn how the verb ended; what a
// service said cannot command the runner.
func TestJobLearnsHowItEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "output.txt")
	t.Setenv("GITHUB_OUTPUT", path)
	t.Setenv("GITHUB_ACTIONS", "true")
	hosts := &scripted{deploy: func(context.Context, pipeline.DeployRequest) (pipeline.Result, error) {
		err := problem.New(problem.RolledBack, "look at the logs", "rolled back: 100 %% wrong\n::add-mask::x\r")
		return pipeline.Result{State: rollout.RolledBack, Run: "r1", Release: v2}, err
	}}
	_, errs, exit := shipper(t, hosts, "deploy")
	if want := "::error title=shipper deploy::rolled back: 100 %25 wrong%0A::add-mask::x%0D%0Ahint: look at the logs\n"; exit != 3 || !strings.Contains(errs, want) {
		t.Errorf("exit %d, want %q in\n%s", exit, want, errs)
	}
	if strings.Contains(errs, "\n::add-mask") {
		t.Errorf("the runner would obey this\n%s", errs)
	}
	got, err := os.ReadFile(path)
	if want := "state=RolledBack\nexit=3\nrun=r1\nversion=2.0.0\ndigest=" + string(v2.Digest) + "\n"; err != nil || string(got) != want {
		t.Errorf("outputs %q, %v; want %q", got, err, want)
	}
}
