//go:build linux

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/examples/load"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/lab/project"
)

// TestRecreate: on each host the old instance stops before the new one
// starts; requests wait for that, forwards and when the controller is killed.
func TestRecreate(t *testing.T) {
	c := project.Config{Strategy: "recreate", Bake: "2s", Service: "  data: exclusive\n"}
	p := theBench(t).project(t, c)
	deploy(t, p, "1.0.0", "", 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g := load.Start(ctx, load.Options{URLs: p.URLs(), Rate: 50, Timeout: 2 * time.Minute})
	deploy(t, p, "1.1.0", "", 0)
	more(t, g, "1.1.0", 50)
	oneInstance(t, runs(t, p, "1.1.0"))

	c.Bake, c.Lease = "10m", short // it is killed before that, however late
	configure(t, p, c)
	if err := p.Version(t.Context(), "1.2.0", ""); err != nil {
		t.Fatal(err)
	}
	run := start(t, p, "deploy")
	if err := run.Until(weightOf("", 10000)); err != nil {
		t.Fatal(err)
	}
	if err := run.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = run.Done()
	oneInstance(t, settled(t, p, "the return to stable", lost("1.1.0")))
	more(t, g, "1.1.0", 50)
	cancel()
	wantNoneLost(t, *g.Wait())
}

// oneInstance fails the test where both slots of a host run.
func oneInstance(t *testing.T, st *project.Process) {
	t.Helper()
	for _, r := range st.Records() {
		_, s, ok := project.Find[rpc.ServiceStatus]([]journal.Record{r}, journal.TypeServiceState, nil)
		n := 0
		for _, slot := range s.Slots {
			if slot.Live.State == "running" {
				n++
			}
		}
		if ok && n != 1 {
			t.Errorf("%s runs %d instances", r.Host, n)
		}
	}
}

// TestAwayHostCatchesUp: a host that the controller does not reach is left
// behind by a release and by the way back from it, named by every status, and
// brought to the others by sync. It serves all the time.
func TestAwayHostCatchesUp(t *testing.T) {
	b := theBench(t)
	c := unattended()
	c.Rollout = "  unreachable: skip\n"
	p := b.project(t, c)
	deploy(t, p, "1.0.0", "", 0)
	_, stop := traffic(t, p)
	away := c
	away.Away = b.lab.Hosts()[1].Name
	for _, verb := range []string{"deploy", "rollback"} {
		configure(t, p, away)
		if verb == "deploy" {
			if err := p.Version(t.Context(), "1.1.0", ""); err != nil {
				t.Fatal(err)
			}
		}
		shipper(t, p, 9, verb)
		if st := shipper(t, p, 9, "status"); !strings.Contains(st.Result().Error, away.Away+" (left behind by run") {
			t.Errorf("status does not name the host: %s", st.Result().Error)
		}
		configure(t, p, c)
		if st := shipper(t, p, 9, "status"); !strings.Contains(st.Result().Error, away.Away) {
			t.Errorf("status does not name the host: %s", st.Result().Error)
		}
		shipper(t, p, 0, "sync")
		runs(t, p, map[string]string{"deploy": "1.1.0", "rollback": "1.0.0"}[verb])
	}
	wantNoneLost(t, stop())
}

func configure(t *testing.T, p *project.Project, c project.Config) {
	t.Helper()
	if err := p.Configure(c); err != nil {
		t.Fatal(err)
	}
}
