package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// drift is what another process sees that was changed on web1.
func (b *bed) drift() string {
	b.t.Helper()
	st, err := b.pipeline().Examine(b.t.Context())
	if err != nil || st.Hosts[0].Blind != "" {
		b.t.Fatalf("examine: %v, %s", err, st.Hosts[0].Blind)
	}
	var words []string
	for _, d := range st.Hosts[0].Drift {
		words = append(words, strings.TrimSpace(string(d.Slot)+" "+d.What))
	}
	return strings.Join(words, ", ")
}

func TestDriftIsSeenAndRestored(t *testing.T) {
	b := newBed(t)
	b.steps()
	ctx := t.Context()
	bundle := b.bundle("1.0.0")
	res, err := b.pipeline().Deploy(ctx, DeployRequest{Bundle: bundle})
	b.want(res, err, rollout.Promoted, 0)
	if got := b.drift(); got != "" {
		t.Fatalf("nobody changed anything: %s", got)
	}
	web := b.machines["web1"]
	edit := func() {
		files, err := filepath.Glob(filepath.Join(web.layout.Programs, "services", "orders", "releases", "1.0.0-*", "version.txt"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		if err := os.WriteFile(files[0], []byte("by hand"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stop := func() {
		st := b.stable("1.0.0").Hosts[0].Status.Stable
		if err := web.scm.Stop(ctx, st.Service("orders"), 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	edit()
	stop()
	if got := b.drift(); got != "blue state, blue release" {
		t.Errorf("seen: %q", got)
	}
	planned, err := b.pipeline().Plan(ctx, DeployRequest{Bundle: bundle})
	if err != nil || len(planned.Travel["web1"].Drift) != 2 {
		t.Errorf("plan: %+v, %v", planned.Travel["web1"], err)
	}
	res, err = b.pipeline().Deploy(ctx, DeployRequest{Bundle: bundle}) // the same again
	b.want(res, err, rollout.Promoted, 0)
	if got := b.drift(); got != "" || b.stable("1.0.0").Hosts[0].Status.Stable != release.Green {
		t.Errorf("after the deploy: %q", got)
	}
	if !strings.Contains(b.story(), "changed by others: blue release is") {
		t.Error("the journal does not tell what was put right")
	}

	stop() // sync needs no bundle for that
	res, err = b.pipeline().Sync(ctx, DeployRequest{})
	if b.want(res, err, rollout.Promoted, 0); b.drift() != "" || err != nil {
		t.Errorf("after the sync: %q, %v", b.drift(), err)
	}
	edit() // and one for this
	res, err = b.pipeline().Sync(ctx, DeployRequest{Bundle: b.bundle("1.0.1")})
	b.want(res, err, rollout.Failed, problem.Verification)
	res, err = b.pipeline().Sync(ctx, DeployRequest{Bundle: bundle})
	if b.want(res, err, rollout.Promoted, 0); b.drift() != "" || err != nil {
		t.Errorf("after the second sync: %q, %v", b.drift(), err)
	}
}
