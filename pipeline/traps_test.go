package pipeline

import (
	"strings"
	"testing"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// What has nothing to act on says so and changes nothing.
func TestNothingToAbort(t *testing.T) {
	b := newBed(t)
	b.steps()
	refused := func(verb, want string, kind problem.Kind, err error) {
		t.Helper()
		if problem.KindOf(err) != kind || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", verb, err)
		}
	}
	_, err := b.pipeline().Ask(t.Context(), "abort")
	refused("abort on hosts that know nothing", "no run is in progress", problem.Failed, err)
	for _, version := range []string{"1.0.0", "1.1.0"} {
		res, err := b.deploy(t.Context(), version, nil)
		b.want(res, err, rollout.Promoted, 0)
	}
	for range 2 {
		_, err = b.pipeline().Ask(t.Context(), "abort")
		refused("abort after the commit", "no run is in progress", problem.Failed, err)
		b.stable("1.1.0")
	}
	_, err = b.pipeline().Rollback(t.Context(), RollbackRequest{To: "0.9.0"})
	refused("rollback to what was pruned", "does not keep 0.9.0", problem.Failed, err)
	res, err := b.pipeline().Rollback(t.Context(), RollbackRequest{To: "1.1.0"})
	b.want(res, err, rollout.RolledBack, 0)
	if !strings.Contains(b.story(), "is already running") {
		t.Error("a rollback to what runs says nothing")
	}
	b.stable("1.1.0")
	b.machines["web1"].cut()
	res, err = b.deploy(t.Context(), "1.2.0", nil)
	refused("deploy with all hosts down", "web1", problem.Unreachable, err)
	_, err = b.pipeline().Rollback(t.Context(), RollbackRequest{})
	refused("rollback with all hosts down", "web1", problem.Unreachable, err)
	if res.State != rollout.Failed {
		t.Errorf("the deploy is %s", res.State)
	}
}
