package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// retry is what another process does, one that knows nothing but the hosts.
func (b *bed) retry(run string, want string) Result {
	b.t.Helper()
	res, err := b.pipeline().Retry(b.t.Context(), run, DeployRequest{})
	if want == "" {
		b.want(res, err, rollout.Promoted, 0)
		return res
	}
	if err == nil || !strings.Contains(err.Error(), want) || problem.HintOf(err) == "" {
		b.t.Errorf("retry: %v (hint %q), want %q", err, problem.HintOf(err), want)
	}
	return res
}

// TestRetry goes on with a deploy that failed for a reason outside of it.
func TestRetry(t *testing.T) {
	b := newBed(t)
	b.steps()
	b.retry("", "no such run is known")
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.retry("", "promoted 1.0.0")

	folder := filepath.Join(t.TempDir(), "data") // the service wants it, and it is not there yet
	b.target.Service.Env = map[string]string{"ORDERS_DATA": filepath.Join(folder, "orders.json")}
	first, err := b.pipeline().Deploy(t.Context(), DeployRequest{Bundle: b.bundle("1.1.0")})
	b.want(first, err, rollout.RolledBack, problem.RolledBack)
	b.stable("1.0.0")
	b.retry("20200101-000000-abcdef", "no such run is known: \"20200101-000000-abcdef\"")
	p := b.pipeline()
	p.Target.Rollout.Steps = []config.Step{{SetWeight: weight(5)}}
	res, err = p.Retry(t.Context(), "", DeployRequest{})
	if b.want(res, err, rollout.Failed, problem.Failed); err == nil || !strings.Contains(err.Error(), "settings are not those of run "+first.Run) {
		t.Errorf("%v", err)
	}
	again, err := b.pipeline().Retry(t.Context(), first.Run, DeployRequest{}) // still missing
	b.want(again, err, rollout.RolledBack, problem.RolledBack)
	b.retry(first.Run, "since run "+first.Run+" there was run "+again.Run)

	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	done := b.retry("", "")
	b.stable("1.1.0")
	if !strings.Contains(b.story(), `"retries":"`+again.Run+`"`) || done.Release.Version != "1.1.0" {
		t.Errorf("which run does it go on with?\n%s", b.story())
	}
	res, err = b.pipeline().Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.RolledBack, 0)
	b.retry("", "is a rollback, not a deploy that failed")
}

// TestRetryOfWhatNeverStarted needs the bundle again, and takes no other.
func TestRetryOfWhatNeverStarted(t *testing.T) {
	b := newBed(t)
	b.steps()
	ctx := t.Context()
	res, err := b.deploy(ctx, "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	approved := filepath.Join(t.TempDir(), "approved")
	b.hook(approved)
	bundle := b.bundle("1.1.0")
	res, err = b.pipeline().Deploy(ctx, DeployRequest{Bundle: bundle})
	b.want(res, err, rollout.Failed, problem.Failed)
	if err := os.WriteFile(approved, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	res, err = b.pipeline().Retry(ctx, "", DeployRequest{Bundle: b.bundle("1.1.1")})
	b.want(res, err, rollout.Failed, problem.Verification)
	res, err = b.pipeline().Retry(ctx, "", DeployRequest{Bundle: bundle})
	b.want(res, err, rollout.Promoted, 0)
	b.stable("1.1.0")
}

// TestRetryTakesTheRest: a host that has the release keeps it.
func TestRetryTakesTheRest(t *testing.T) {
	t.Parallel()
	b := newSplit(t)
	b.forget()
	b.retry("", "")
	if st := b.stable("1.2.0"); st.State != rollout.Promoted || len(st.Behind) > 0 || strings.Contains(b.story(), "slot.started web1") {
		t.Errorf("status: %s, behind %v\n%s", st.State, st.Behind, b.story())
	}
}
