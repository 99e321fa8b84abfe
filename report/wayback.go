package report

import (
	"fmt"
	"time"

	"github.com/go-shipper/shipper/journal"
)

// wayBack is what a rollback would do on one host, and what of it was shown.
func wayBack(d journal.WayBack) string {
	text := ""
	switch d.Move {
	case "stay":
		text = "stays on " + name(d.Release)
	case "end":
		text = "the run that is left over ends, " + name(d.Release) + " stays"
	case "flip":
		text = "all traffic back to " + name(d.Release) + " at once, warm for " + span(seconds(d.WarmSeconds))
	case "start":
		text = name(d.Release) + " is started, checked, and gets the traffic"
	}
	if d.Intact {
		text += "\n  intact: every file is what the manifest says"
	}
	switch {
	case d.NotStarted != "":
		text += "\n  not started: " + clean(d.NotStarted)
	case d.Started && d.Move == "flip":
		text += "\n  it runs"
	case d.Started:
		text += "\n  it logs on and starts: listened after " + span(time.Duration(d.StartMillis)*time.Millisecond)
	}
	for _, c := range d.Checks {
		text += fmt.Sprintf("\n  %s: %s", clean(c.Check), clean(c.Detail))
	}
	if d.Problem != "" {
		text += "\n  PROBLEM: " + clean(d.Problem)
	}
	return text
}
