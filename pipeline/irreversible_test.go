package pipeline

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

func TestIrreversibleReleaseIsFrozen(t *testing.T) {
	b := newBed(t)
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.load()
	b.target.Rollback.Irreversible = true
	res, err = b.deploy(t.Context(), "1.1.0", map[string]string{"ORDERS_FAIL_RATIO": "0.5"})
	b.want(res, err, rollout.Paused, problem.Paused)
	if err == nil || !strings.Contains(err.Error(), "IRREVERSIBLE: it was not taken back") || !strings.Contains(b.story(), "IRREVERSIBLE: nothing is taken back") {
		t.Errorf("not loud enough: %v\n%s", err, b.story())
	}
	b.stable("1.0.0")
	if err := b.pipeline().LockRelease(t.Context()); err != nil {
		t.Fatal(err)
	}
	res, err = b.deploy(t.Context(), "1.2.0", nil)
	b.want(res, err, rollout.Promoted, 0)
}

// What turns bad after its commit is told and frozen, and a person may still
// take it back.
func TestWatchLeavesAnIrreversibleReleaseAlone(t *testing.T) {
	b := newBed(t)
	b.steps()
	b.target.Analysis.Signals = []config.Signal{{Name: "errors", Errors: &config.ErrorLimit{Max: 0.02}, Interval: 100 * time.Millisecond, MinRequests: 20}}
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.target.Rollback.Irreversible = true
	res, err = b.deploy(t.Context(), "1.1.0", map[string]string{"ORDERS_FAIL_RATIO": "0.5"})
	b.want(res, err, rollout.Promoted, 0)
	b.load()
	_, err = b.pipeline().Watch(t.Context())
	if problem.KindOf(err) != problem.Failed || !strings.Contains(err.Error(), "not taken back: IRREVERSIBLE") {
		t.Errorf("it ended by %v", err)
	}
	b.stable("1.1.0")
	if _, err = b.deploy(t.Context(), "1.2.0", nil); problem.KindOf(err) != problem.Locked {
		t.Errorf("a deploy over the freeze: %v", err)
	}
	res, err = b.pipeline().Rollback(t.Context(), RollbackRequest{Override: "looked at it"})
	b.want(res, err, rollout.RolledBack, 0)
	b.stable("1.0.0")
}

func TestNoWayBackBehindAnIrreversibleRelease(t *testing.T) {
	b := newBed(t)
	b.steps()
	ship := func(version string, req DeployRequest) (Result, error) {
		req.Bundle = b.bundle(version)
		return b.pipeline().Deploy(t.Context(), req)
	}
	for _, version := range []string{"1.0.0", "1.1.0"} {
		res, err := ship(version, DeployRequest{Irreversible: version == "1.1.0"})
		b.want(res, err, rollout.Promoted, 0)
	}
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "1.1.0") || !strings.Contains(err.Error(), "irreversible") {
			t.Errorf("%s: %v", what, err)
		}
		b.stable("1.1.0")
	}
	_, err := b.pipeline().Rollback(t.Context(), RollbackRequest{})
	refused("rollback", err)
	_, err = b.pipeline().Rollback(t.Context(), RollbackRequest{To: "1.0.0"})
	refused("rollback --to", err)
	_, err = ship("1.0.1", DeployRequest{AllowDowngrade: true})
	refused("an older version", err)

	b.forget()
	res, err := b.pipeline().Rollback(context.Background(), RollbackRequest{Override: "restored the tables by hand"})
	b.want(res, err, rollout.RolledBack, 0)
	b.stable("1.0.0")
	if !strings.Contains(b.story(), "all the same: restored the tables by hand") {
		t.Errorf("the reason is not recorded\n%s", b.story())
	}
	res, err = ship("1.2.0", DeployRequest{})
	b.want(res, err, rollout.Promoted, 0)
	res, err = b.pipeline().Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.RolledBack, 0)
}

// A plan says what it means that there is no way back, and takes it along.
func TestIrreversiblePlan(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.steps()
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.forget()
	planned, err := b.pipeline().Plan(t.Context(), DeployRequest{Bundle: b.bundle("1.1.0"), Irreversible: true, Record: true})
	if err != nil {
		t.Fatal(err)
	}
	if s := b.story(); !strings.Contains(s, "IRREVERSIBLE") || !strings.Contains(s, "a failure means freeze") {
		t.Errorf("the plan says:\n%s", s)
	}
	path := filepath.Join(t.TempDir(), "release.plan")
	if err := planned.File.Write(path); err != nil {
		t.Fatal(err)
	}
	res, err = b.pipeline().Deploy(t.Context(), DeployRequest{Plan: path})
	b.want(res, err, rollout.Promoted, 0)
	if _, err := b.pipeline().Rollback(t.Context(), RollbackRequest{}); err == nil || !strings.Contains(err.Error(), "irreversible") {
		t.Errorf("rollback behind it: %v", err)
	}
}
