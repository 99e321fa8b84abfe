package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// newFleet is three hosts on 1.0.0; those that do not answer are skipped.
func newFleet(t *testing.T) *bed {
	t.Helper()
	b := newBed(t)
	b.second()
	b.machines["web3"] = newIdleMachine(t, "web3")
	b.target.Hosts = append(b.target.Hosts, config.Host{Name: "web3", Address: "web3"})
	b.target.Rollout.Unreachable, b.target.Rollout.Quorum = config.UnreachableSkip, config.Amount{N: 51, Percent: true}
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	return b
}

// left asks for the fleet's state and which hosts are known to be behind.
func (b *bed) left(version, hosts, why string) {
	b.t.Helper()
	st := b.stable(version)
	if got := strings.Join(st.Left, " "); got != hosts || !strings.Contains(st.Lagging(st.Left), why) {
		b.t.Fatalf("left behind: %q, %s; want %q, %s\n%s", got, st.Lagging(st.Left), hosts, why, b.story())
	}
}

func (b *bed) sync(version string) (Result, error) {
	b.t.Helper()
	return b.pipeline().Sync(b.t.Context(), DeployRequest{Bundle: b.bundle(version)})
}

func TestHostThatIsSkippedCatchesUp(t *testing.T) {
	b := newFleet(t)
	b.machines["web3"].cut()
	b.target.Rollout.Unreachable = config.UnreachableFail
	res, err := b.deploy(t.Context(), "1.1.0", nil)
	b.want(res, err, rollout.Failed, problem.Unreachable)
	b.stable("1.0.0")

	b.target.Rollout.Unreachable = config.UnreachableQuorum
	b.machines["web1"].cut()
	res, err = b.deploy(t.Context(), "1.1.0", nil)
	b.want(res, err, rollout.Failed, problem.Unreachable)
	b.machines["web1"].mend()

	res, err = b.deploy(t.Context(), "1.1.0", nil)
	b.want(res, err, rollout.Promoted, problem.Behind)
	if err == nil || !slices.Equal(res.Behind, []string{"web3"}) {
		t.Errorf("behind: %v, %v", res.Behind, err)
	}
	b.left("1.1.0", "web3", "does not answer")
	res, err = b.sync("1.1.0")
	b.want(res, err, rollout.Promoted, problem.Behind)

	b.machines["web3"].mend()
	b.left("1.1.0", "web3", "runs 1.0.0")
	res, err = b.sync("1.0.0")
	b.want(res, err, rollout.Failed, problem.Verification)
	p := b.pipeline()
	p.Target.Service.Env = map[string]string{"OTHER": "1"}
	res, err = p.Sync(t.Context(), DeployRequest{Bundle: b.bundle("1.1.0")})
	b.want(res, err, rollout.Failed, problem.Failed)
	if err == nil || !strings.Contains(err.Error(), "revision") {
		t.Errorf("another configuration is taken: %v", err)
	}
	res, err = b.sync("1.1.0")
	if b.want(res, err, rollout.Promoted, 0); err != nil {
		t.Error(err)
	}
	b.left("1.1.0", "", "")
	if res, err = b.sync("1.1.0"); err != nil || res.State != rollout.Promoted {
		t.Errorf("nothing to do: %s, %v", res.State, err)
	}
}

// TestHostOwesTheRollback: it is off when the others go back, and keeps what
// it needs to follow them.
func TestHostOwesTheRollback(t *testing.T) {
	b := newFleet(t)
	res, err := b.deploy(t.Context(), "1.1.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.machines["web3"].cut()
	res, err = b.pipeline().Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.RolledBack, problem.Behind)
	b.left("1.0.0", "web3", "does not answer")
	b.machines["web3"].mend()
	b.left("1.0.0", "web3", "owes the rollback to 1.0.0: still runs 1.1.0")

	res, err = b.pipeline().Sync(t.Context(), DeployRequest{})
	if b.want(res, err, rollout.Promoted, 0); err != nil {
		t.Error(err)
	}
	b.left("1.0.0", "", "")
	for _, h := range b.stable("1.0.0").Hosts {
		for _, r := range h.Status.Retained {
			if r.Rejected != (r.Release.Version == "1.1.0") {
				t.Errorf("%s: %s rejected: %v", h.Host, r.Release, r.Rejected)
			}
		}
	}
	res, err = b.pipeline().Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.Failed, problem.Failed)
}

// TestLostHostGoesBackByItsLease: the fleet can not tell it, and names it until
// it did.
func TestLostHostGoesBackByItsLease(t *testing.T) {
	t.Parallel()
	b := newFleet(t)
	b.target.Rollout.Unreachable, b.target.Rollback.Lease = config.UnreachableFail, 8*time.Second
	b.forget()
	p := b.pipeline()
	p.Target.Rollout.Steps = []config.Step{{Pause: forever()}}
	bundle := b.bundle("1.1.0")
	run := b.begin(func() (Result, error) { return p.Deploy(t.Context(), DeployRequest{Bundle: bundle}) })
	run.until(journal.TypePaused)
	b.machines["web3"].cut()
	e := run.end()
	b.want(e.res, e.err, rollout.RolledBack, problem.Behind)
	if e.err == nil || !strings.Contains(e.err.Error(), "left to the lease: web3") {
		t.Error(e.err)
	}
	b.left("1.0.0", "web3", "does not answer")
	b.machines["web3"].mend()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		st := b.stable("1.0.0")
		if st.State == rollout.RolledBack && len(st.Behind) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s, behind %v", st.State, st.Reason)
		}
	}
	res, err := b.pipeline().Sync(t.Context(), DeployRequest{})
	b.want(res, err, rollout.Promoted, 0)
}

// TestParkedRunGoesOnWithoutAHost: one that is off when the run is taken on is
// left behind, if the configuration allows it, and catches up.
func TestParkedRunGoesOnWithoutAHost(t *testing.T) {
	b := newFleet(t)
	b.steps(config.Step{Pause: forever()})
	b.forget()
	ctx, interrupt := context.WithCancelCause(t.Context())
	go func() {
		b.until(journal.TypePaused)
		interrupt(errors.New("interrupted"))
	}()
	res, err := b.deploy(ctx, "1.1.0", nil)
	b.want(res, err, rollout.Paused, problem.Paused)
	b.machines["web3"].cut()

	b.target.Rollout.Unreachable = config.UnreachableFail
	res, err = b.pipeline().Ask(t.Context(), "promote")
	b.want(res, err, rollout.Paused, problem.Unreachable)
	b.target.Rollout.Unreachable = config.UnreachableSkip
	p := b.pipeline()
	p.Target.Rollout.Strategy = rollout.Rolling
	res, err = p.Ask(t.Context(), "promote")
	b.want(res, err, rollout.Failed, problem.Unreachable)

	res, err = b.pipeline().Ask(t.Context(), "promote")
	b.want(res, err, rollout.Promoted, problem.Behind)
	b.left("1.1.0", "web3", "does not answer")
	b.machines["web3"].mend()
	b.left("1.1.0", "web3", "runs 1.0.0")
	res, err = b.sync("1.1.0")
	if b.want(res, err, rollout.Promoted, 0); err != nil {
		t.Error(err)
	}
	b.left("1.1.0", "", "")
}
