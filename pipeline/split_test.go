package pipeline

import (
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// newSplit is two hosts of which one was lost inside the commit round.
func newSplit(t *testing.T) *bed {
	t.Helper()
	b := newBed(t)
	b.second()
	for _, v := range []string{"1.0.0", "1.1.0"} {
		res, err := b.deploy(t.Context(), v, nil)
		b.want(res, err, rollout.Promoted, 0)
	}
	b.target.Rollback.Lease = 8 * time.Second // from here on
	p := b.pipeline()
	p.Emit = func(r journal.Record) {
		if r.Type == journal.TypePrepared && r.Host == "web2" {
			b.machines["web2"].cut()
		}
		b.emit(r)
	}
	res, err := p.Deploy(t.Context(), DeployRequest{Bundle: b.bundle("1.2.0")})
	b.want(res, err, rollout.Split, problem.Behind)
	b.machines["web2"].mend()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) { // web2 goes back by its lease
		st, err := b.pipeline().Status(t.Context())
		if err == nil && st.State == rollout.Split {
			return b
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("status: %s, %v", st.State, err)
		}
	}
}

func TestSplitRunIsRolledBack(t *testing.T) {
	t.Parallel()
	b := newSplit(t)
	res, err := b.pipeline().Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.RolledBack, 0)
	if st := b.stable("1.1.0"); st.State != rollout.RolledBack || len(st.Behind) > 0 {
		t.Errorf("status after the rollback: %s, behind %v, %s", st.State, st.Behind, st.Why)
	}
	res, err = b.deploy(t.Context(), "1.3.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.stable("1.3.0")
}

func TestSplitRunIsFinished(t *testing.T) {
	t.Parallel()
	b := newSplit(t)
	res, err := b.pipeline().Resume(t.Context(), "resume")
	b.want(res, err, rollout.Promoted, 0)
	if st := b.stable("1.2.0"); st.State != rollout.Promoted || len(st.Behind) > 0 {
		t.Errorf("status: %s, behind %v", st.State, st.Behind)
	}
}

// second adds another host, and leaves out what only one of them can have.
func (b *bed) second() {
	b.machines["web1"] = newIdleMachine(b.t, "web1")
	b.machines["web2"] = newIdleMachine(b.t, "web2")
	b.target.Hosts = append(b.target.Hosts, config.Host{Name: "web2", Address: "web2"})
	b.target.Traffic.Router, b.target.Checks, b.target.Analysis.Signals = "none", nil, nil
	b.steps()
}
