//go:build linux

package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/lab"
)

// remove leaves services, files and processes as they were before.
func TestRemoveLeavesNoTrace(t *testing.T) {
	b := theBench(t)
	l := b.ownLab(t, 1)
	p := b.projectOn(t, l.Hosts(), unattended())
	before := snapshot(t, l)
	deploy(t, p, "1.0.0", "", 0)
	deploy(t, p, "1.1.0", "", 0)
	if during := snapshot(t, l); during == before {
		t.Fatal("the snapshot does not see what shipper does")
	}
	shipper(t, p, 0, "remove")
	if after := snapshot(t, l); after != before {
		t.Errorf("remove left a trace\nbefore:\n%s\nafter:\n%s", before, after)
	}
}

var moving = regexp.MustCompile(`(?m)^.*(\\Temp\\|ntuser|\.log).*$\n?`)

// snapshot lists the services and the folders that shipper may touch.
func snapshot(t *testing.T, l *lab.Lab) string {
	t.Helper()
	var out strings.Builder
	for _, line := range []string{
		`reg query HKLM\System\CurrentControlSet\Services`,
		`dir /s /b "C:\Program Files"`,
		`dir /s /b C:\ProgramData`,
	} {
		if _, err := l.Exec(t.Context(), l.Hosts()[0].Name, line, nil, &out, &out); err != nil {
			t.Fatal(err)
		}
	}
	return moving.ReplaceAllString(strings.ReplaceAll(out.String(), "\r", ""), "")
}
