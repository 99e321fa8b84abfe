package pipeline

import (
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// frozen is a bed with 1.0.0, and 1.1.0 that failed and is kept.
func frozen(t *testing.T) *bed {
	b := newBed(t)
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.load()
	b.target.Rollback.OnFailure = config.OnFailureFreeze
	res, err = b.deploy(t.Context(), "1.1.0", map[string]string{"ORDERS_FAIL_RATIO": "0.5"})
	b.want(res, err, rollout.Paused, problem.Paused)
	if err == nil || !strings.Contains(err.Error(), "frozen") || res.Freeze == "" {
		t.Fatalf("result %+v: %v", res, err)
	}
	st := b.stable("1.0.0")
	if w := st.Hosts[0].Status.Traffic.Weights[st.Hosts[0].Status.Stable]; st.State != rollout.Paused || w != 10000 {
		t.Fatalf("%s, stable has %s of the traffic", st.State, w)
	}
	res, err = b.deploy(t.Context(), "1.2.0", nil)
	if problem.KindOf(err) != problem.Locked {
		t.Fatalf("a deploy over a freeze: %s, %v", res.State, err)
	}
	return b
}

func TestFrozenRunIsAborted(t *testing.T) {
	b := frozen(t)
	res, err := b.pipeline().Ask(t.Context(), "abort")
	b.want(res, err, rollout.RolledBack, 0)
	b.stable("1.0.0")
	res, err = b.deploy(t.Context(), "1.2.0", nil)
	b.want(res, err, rollout.Promoted, 0)
}

func TestFrozenRunIsPromoted(t *testing.T) {
	b := frozen(t)
	b.target.Analysis.Signals = nil
	b.steps(config.Step{SetWeight: weight(50)})
	res, err := b.pipeline().Ask(t.Context(), "promote")
	b.want(res, err, rollout.Promoted, 0)
	b.stable("1.1.0")
}

func TestFreezeIsReleased(t *testing.T) {
	b := frozen(t)
	if err := b.pipeline().LockRelease(t.Context()); err != nil {
		t.Fatal(err)
	}
	res, err := b.deploy(t.Context(), "1.2.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.stable("1.2.0")
}
