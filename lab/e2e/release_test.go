//go:build linux

package e2e

import (
	"strings"
	"testing"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/lab/project"
)

const (
	// badUnderTraffic passes smoke and fails once users come.
	badUnderTraffic = "ORDERS_FAIL_RATIO=0.5,ORDERS_FAIL_AFTER=10"
	// badAtOnce fails its smoke check.
	badAtOnce = "ORDERS_UNHEALTHY=true"
)

func TestGoodCanaryLosesNothing(t *testing.T) {
	p := theBench(t).project(t, project.Config{})
	deploy(t, p, "1.0.0", "", 0)
	g, stop := traffic(t, p)
	deploy(t, p, "1.1.0", "", 0)
	answered(t, g, 5000)
	r := stop()
	wantNoneLost(t, r)
	if r.Of("1.0.0").OK == 0 || r.Of("1.1.0").OK == 0 {
		t.Errorf("both versions should have answered\n%s", r)
	}
	runs(t, p, "1.1.0")
	again := shipper(t, p, 0, "deploy")
	if _, note, ok := project.Find[journal.Note](again.Records(), journal.TypeWarning, nil); !ok || !strings.Contains(note.Text, "already running") {
		t.Errorf("deploying the same revision again should say so\n%s", story(again))
	}
}

func TestFailedSmokeCheckNeverMeetsUsers(t *testing.T) {
	p := theBench(t).project(t, project.Config{Deadline: "15s"})
	deploy(t, p, "1.0.0", "", 0)
	g, stop := traffic(t, p)
	deploy(t, p, "1.1.0", badAtOnce, 3)
	more(t, g, "1.0.0", 200)
	r := stop()
	wantNoneLost(t, r)
	if c := r.Of("1.1.0"); c.OK+c.Failed > 0 {
		t.Errorf("public traffic saw the bad release\n%s", r)
	}
	runs(t, p, "1.0.0")
}

func TestBadReleaseIsTakenBackAtFivePercent(t *testing.T) {
	p := theBench(t).project(t, project.Config{})
	deploy(t, p, "1.0.0", "", 0)
	g, stop := traffic(t, p)
	run := deploy(t, p, "1.1.0", badUnderTraffic, 3)
	more(t, g, "1.0.0", 200) // what was on its way is answered
	before := g.Report().Of("1.1.0")
	more(t, g, "1.0.0", 400)
	r := stop()
	wantNoneLost(t, r, "1.1.0")
	_, v, ok := project.Find(run.Records(), journal.TypeVerdict, func(_ journal.Record, v journal.Verdict) bool { return v.Outcome == "Failed" })
	if !ok || !strings.Contains(v.Why, "errors") {
		t.Fatalf("no verdict that explains itself\n%s", story(run))
	}
	if bad := r.Of("1.1.0"); bad.OK+bad.Failed > before.OK+before.Failed {
		t.Errorf("the bad version still answers after the way back\n%s", r)
	}
	runs(t, p, "1.0.0")
}

func TestRollbackWithoutArguments(t *testing.T) {
	p := theBench(t).project(t, project.Config{})
	deploy(t, p, "1.0.0", "", 0)
	first := shipper(t, p, 1, "rollback")
	if !strings.Contains(first.Result().Error, "no committed revision before") {
		t.Errorf("rolling back the first deploy: %q", first.Result().Error)
	}
	_, stop := traffic(t, p)
	deploy(t, p, "1.1.0", "", 0)
	shipper(t, p, 0, "rollback")
	runs(t, p, "1.0.0")
	wantNoneLost(t, stop())
}

func TestSecondDeployIsRefused(t *testing.T) {
	p := theBench(t).project(t, project.Config{Steps: "[{setWeight: 5}, {pause: {}}]"})
	deploy(t, p, "1.0.0", "", 0)
	if err := p.Version(t.Context(), "1.1.0", ""); err != nil {
		t.Fatal(err)
	}
	run := start(t, p, "deploy")
	if err := run.Until(weightOf("", 500)); err != nil {
		t.Fatal(err)
	}
	second := shipper(t, p, 6, "deploy")
	if second.Result().Hint == "" {
		t.Error("no hint about the lock")
	}
	shipper(t, p, 0, "abort")
	if err := run.Done(); err != nil || run.Exit() != 5 {
		t.Errorf("the aborted deploy: exit code %d, %v\n%s", run.Exit(), err, story(run))
	}
	runs(t, p, "1.0.0")
}
