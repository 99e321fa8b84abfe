//go:build linux

package e2e

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/lab"
	"github.com/go-shipper/shipper/lab/project"
)

// A connection that is cut in the middle of a push is made anew, and the push
// goes on from what the host has.
func TestPushSurvivesACut(t *testing.T) {
	b := theBench(t)
	l := b.ownLab(t, 1)
	p := b.projectOn(t, l.Hosts(), unattended())
	deploy(t, p, "1.0.0", "", 0)
	if err := errors.Join(p.Forget(), p.Version(t.Context(), "1.1.0", "")); err != nil {
		t.Fatal(err)
	}
	run := start(t, p, "deploy")
	locked := func(records []journal.Record) bool {
		_, _, ok := project.Find[journal.RunStarted](records, journal.TypeRunStarted, nil)
		return ok
	}
	if err := run.Until(locked); err != nil {
		t.Fatal(err)
	}
	if err := l.SetFaults(t.Context(), l.Hosts()[0].Name, lab.Faults{CutAfterBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := run.Done(); err != nil || run.Exit() != 0 {
		t.Fatalf("exit code %d, %v\n%s%s", run.Exit(), err, run.Stderr(), story(run))
	}
	runs(t, p, "1.1.0")
}

func TestConsoleProgram(t *testing.T) {
	c := unattended()
	c.Mode = "console"
	p := theBench(t).project(t, c)
	deploy(t, p, "1.0.0", "", 0)
	_, stop := traffic(t, p)
	deploy(t, p, "1.1.0", "", 0)
	shipper(t, p, 0, "rollback")
	wantNoneLost(t, stop())
	runs(t, p, "1.0.0")
}

// What a person asks for after a release: its log, its past, its lock.
func TestLogsHistoryLock(t *testing.T) {
	p := theBench(t).project(t, unattended())
	deploy(t, p, "1.0.0", "", 0)
	deploy(t, p, "1.1.0", "", 0)
	logs := shipper(t, p, 0, "logs")
	if !strings.Contains(story(logs), `\"version\":\"1.1.0\"`) {
		t.Errorf("the stable slot's log is missing\n%s", story(logs))
	}
	if n := len(shipper(t, p, 0, "history").Records()); n < 3 { // two runs and the result
		t.Errorf("history tells %d records", n)
	}
	shipper(t, p, 0, "lock", "acquire", "-m", "closing the books")
	shipper(t, p, 6, "rollback")
	shipper(t, p, 0, "lock", "release")
	shipper(t, p, 0, "prune")
	shipper(t, p, 0, "rollback")
	runs(t, p, "1.0.0")
}
