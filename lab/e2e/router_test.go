//go:build linux

package e2e

import (
	"strings"
	"testing"

	"github.com/go-shipper/shipper/lab/project"
)

// TestRouterIsRestartedInCanary lets the second router of each host take over,
// and the first one take over from that, in the middle of a canary: the weight
// stays, the run goes on, and no request is lost.
func TestRouterIsRestartedInCanary(t *testing.T) {
	b := theBench(t)
	p := b.project(t, project.Config{Steps: "[{setWeight: 50}, {pause: {}}]"})
	deploy(t, p, "1.0.0", "", 0)
	g, stop := traffic(t, p)
	if err := p.Version(t.Context(), "1.1.0", ""); err != nil {
		t.Fatal(err)
	}
	run := start(t, p, "deploy")
	if err := run.Until(weightOf("", 5000)); err != nil {
		t.Fatal(err)
	}
	more(t, g, "1.1.0", 20)
	for range 2 {
		for _, h := range b.lab.Hosts() {
			before := b.router(t, h.Name, "status")
			after := b.router(t, h.Name, "restart")
			if strings.Fields(before)[0] == strings.Fields(after)[0] {
				t.Errorf("%s: before %q, after %q", h.Name, before, after)
			}
		}
		more(t, g, "1.1.0", 20)
	}
	shipper(t, p, 0, "promote", "--full")
	if err := run.Done(); err != nil || run.Exit() != 0 {
		t.Errorf("exit code %d: %v\n%s%s", run.Exit(), err, run.Stderr(), story(run))
	}
	runs(t, p, "1.1.0")
	wantNoneLost(t, stop())
}

// router runs `shipper-host router WORD` on a host.
func (b *bench) router(t *testing.T, host, word string) string {
	t.Helper()
	return b.exec(t, host, `"C:\Program Files\shipper\bin\shipper-host.exe" router `+word)
}

// exec runs a command on a host and wants it to end well.
func (b *bench) exec(t *testing.T, host, line string) string {
	t.Helper()
	var out strings.Builder
	exit, err := b.lab.Exec(t.Context(), host, line, nil, &out, &out)
	if err != nil || exit != 0 {
		t.Fatalf("%s: %s: exit code %d, %v\n%s", host, line, exit, err, out.String())
	}
	return out.String()
}
