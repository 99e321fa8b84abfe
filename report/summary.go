package report

import (
	"fmt"
	"strings"

	"github.com/go-shipper/shipper/journal"
)

// Summary writes a run as Markdown for the summary of a CI job: how it ended,
// the verdicts with their numbers, and the hosts.
func Summary(records []journal.Record) string {
	var out strings.Builder
	var opened journal.RunStarted
	var result journal.Result
	for _, r := range records {
		switch r.Type {
		case journal.TypeRunStarted:
			opened = decode[journal.RunStarted](r)
		case journal.TypeResult:
			result = decode[journal.Result](r)
		}
	}
	fmt.Fprintf(&out, "## %s\n\n", title(opened, result))
	if result.Error != "" {
		fmt.Fprintf(&out, "**%s**\n\n", escape(result.Error))
	}
	if result.Hint != "" {
		fmt.Fprintf(&out, "%s\n\n", escape(result.Hint))
	}
	fmt.Fprintf(&out, "| time | what | host | |\n|---|---|---|---|\n")
	tell := story{}
	for _, r := range records {
		if line, ok := tell.line(r); ok {
			fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", clock(r.Time.Sub(records[0].Time)), escape(line.label), escape(r.Host), escape(line.text))
		}
	}
	return out.String()
}

func title(o journal.RunStarted, r journal.Result) string {
	state := label(r.State)
	if state == "" {
		state = "no end told"
	}
	release := r.Release
	if release.IsZero() {
		release = o.Release
	}
	text := clean(o.Service)
	if text == "" {
		text = clean(r.Verb)
	}
	if !release.IsZero() {
		text += " " + clean(release.Version)
	}
	if o.Environment != "" {
		text += " in " + clean(o.Environment)
	}
	return escape(text + ": " + state)
}

// escape keeps text from being read as Markdown or HTML.
func escape(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "`", "'", "*", `\*`, "_", `\_`, "[", `\[`).Replace(clean(s))
}
