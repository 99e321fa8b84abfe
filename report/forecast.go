package report

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-shipper/shipper/journal"
)

// expected is a forecast: what bad releases would cost, step by step.
func expected(d journal.Forecast) string {
	if d.Note != "" {
		return "expected: " + clean(d.Note) + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "expected at %s requests/s", short(d.Rate))
	if d.Seconds > 0 {
		fmt.Fprintf(&b, ", counted for %s", span(seconds(d.Seconds)))
	}
	fmt.Fprintf(&b, ", where stable fails %s %%", short(d.Errors*100))
	if d.Assumed {
		b.WriteString(" (assumed)")
	}
	fmt.Fprintf(&b, ", at alpha %g\n", d.Alpha)
	if len(d.Silent) > 0 {
		fmt.Fprintf(&b, "  not counted on %s\n", clean(strings.Join(d.Silent, ", ")))
	}
	for _, s := range d.Steps {
		b.WriteString(expectedStep(s))
	}
	return b.String()
}

func expectedStep(s journal.ForecastStep) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  batch %d step %d: %s of the traffic on %s", s.Batch, s.Step, s.Weight, plural(s.Hosts, "host"))
	untold := "not told from stable by this traffic"
	if s.CountsFrom > 0 {
		fmt.Fprintf(&b, ", by the hard rules alone: evidence counts from step %d on", s.CountsFrom)
		untold = "not judged yet"
	}
	b.WriteString("\n")
	for _, c := range s.Cases {
		name := short(c.Errors*100) + " % of it fail"
		if c.Errors >= 1 {
			name = "a dead release"
		}
		text := untold
		if c.Seconds > 0 {
			text = fmt.Sprintf("found in %s, %s fail", span(seconds(c.Seconds)), about(c.Failed))
		}
		fmt.Fprintf(&b, "    %-16s %s\n", name, text)
	}
	if s.CountsFrom > 0 {
		return b.String()
	}
	text := "does not pass"
	if s.ProofSeconds > 0 {
		text = "passes after " + span(seconds(s.ProofSeconds))
	}
	if s.WaitSeconds > 0 {
		text += ", the step waits " + span(seconds(s.WaitSeconds)) + " at most"
	}
	fmt.Fprintf(&b, "    %-16s %s\n", "a good release", text)
	if s.Thin != "" {
		fmt.Fprintf(&b, "    ! %s\n", clean(s.Thin))
	}
	return b.String()
}

// about rounds an expected number of requests up to a whole one.
func about(n float64) string { return plural(max(1, int(n+0.5)), "request") }

// short writes a number with two digits that matter at least.
func short(x float64) string {
	if x >= 10 {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return strconv.FormatFloat(x, 'g', 2, 64)
}
