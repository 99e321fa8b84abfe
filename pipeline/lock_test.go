package pipeline

import (
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// A lock is taken where it can be, and says where not.
func TestLockWithAHostAway(t *testing.T) {
	b := newFleet(t)
	b.target.Rollout.Unreachable = config.UnreachableFail
	b.machines["web3"].cut()
	err := b.pipeline().LockAcquire(t.Context(), "audit")
	if problem.KindOf(err) != problem.Behind || !strings.Contains(err.Error(), "locked, but not on web3") || problem.HintOf(err) == "" {
		t.Errorf("acquire: %v", err)
	}
	b.machines["web3"].mend()
	res, err := b.deploy(t.Context(), "1.1.0", nil)
	b.want(res, err, rollout.Failed, problem.Locked)
	b.machines["web3"].cut()
	if err = b.pipeline().LockRelease(t.Context()); problem.KindOf(err) != problem.Behind {
		t.Errorf("release: %v", err)
	}
	for _, name := range []string{"web1", "web2"} {
		b.machines[name].cut()
	}
	if err = b.pipeline().LockAcquire(t.Context(), "audit"); problem.KindOf(err) != problem.Unreachable {
		t.Errorf("nobody answers: %v", err)
	}
}
