//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/lab/project"
)

// TestFailedReleaseIsFrozen: a program of the release runs on the hosts before
// it starts; what turns out bad is kept for a look without any traffic, nothing
// else begins until a person has decided, and what is left of it can be read
// when it is gone. The hosts know who did it.
func TestFailedReleaseIsFrozen(t *testing.T) {
	b := theBench(t)
	p := b.project(t, project.Config{Rollback: ", onFailure: freeze",
		Extra: "hooks:\n  - {name: migrate, on: [beforeStart, beforePromote], host: {command: [orders.exe, -version]}}\n"})
	first := deploy(t, p, "1.0.0", "", 0)
	ran := 0
	for _, r := range first.Records() {
		if r.Type == journal.TypeHook && r.Host != "" {
			ran++
		}
	}
	if want := 2 * len(b.lab.Hosts()); ran != want {
		t.Errorf("the program ran %d times, want %d\n%s", ran, want, story(first))
	}
	g, stop := traffic(t, p)
	bad := deploy(t, p, "1.1.0", badUnderTraffic, 4)
	if !strings.Contains(bad.Result().Error, "frozen") {
		t.Errorf("it ended by %q", bad.Result().Error)
	}
	more(t, g, "1.0.0", 200)
	shipper(t, p, 6, "deploy")
	shipper(t, p, 0, "abort")
	wantNoneLost(t, stop(), "1.1.0")
	runs(t, p, "1.0.0")
	failed := story(shipper(t, p, 0, "logs", "--failed"))
	for _, want := range []string{"1.1.0", "exit code", "errors"} {
		if !strings.Contains(failed, want) {
			t.Errorf("what failed does not say %q\n%s", want, failed)
		}
	}
	var told bytes.Buffer
	line := fmt.Sprintf(`type C:\ProgramData\shipper\%s\runs\%s.jsonl`, p.Service(), bad.Result().Run)
	if _, err := b.lab.Exec(t.Context(), b.lab.Hosts()[0].Name, line, nil, &told, &told); err != nil || !strings.Contains(told.String(), "acts on this host as") {
		t.Errorf("the host does not know who acted: %v\n%s", err, told.String())
	}
}
