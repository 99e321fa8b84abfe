package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/report"
)

// maxStory bounds what is kept for the summary, in records.
const maxStory = 10_000

// github tells a GitHub Actions job how the verb ended: the summary of a run,
// outputs for later steps, and an error that the page of the job shows.
func (t *teller) github(r journal.Result) {
	if r.Run != "" && (forward(r.Verb) || r.Verb == "rollback") {
		t.appendTo("GITHUB_STEP_SUMMARY", report.Summary(t.story))
	}
	t.appendTo("GITHUB_OUTPUT", outputs(r))
	if r.Error != "" && os.Getenv("GITHUB_ACTIONS") == "true" {
		fmt.Fprintf(t.stderr, "::error title=%s::%s\n", property("shipper "+r.Verb), command(r.Error+hinted(r.Hint)))
	}
}

// appendTo adds to the file that a variable of the job names.
func (t *teller) appendTo(variable, text string) {
	path := os.Getenv(variable)
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err == nil {
		_, err = io.WriteString(file, text)
		err = errors.Join(err, file.Close())
	}
	if err != nil { // the verb is over; its exit code does not hang on this
		fmt.Fprintf(t.stderr, "warning: %s: %v\n", variable, err)
	}
}

// outputs are lines of name=value; no value of ours has a line end.
func outputs(r journal.Result) string {
	var out strings.Builder
	for _, o := range [][2]string{
		{"state", r.State}, {"exit", fmt.Sprint(r.Exit)}, {"run", r.Run},
		{"version", r.Release.Version}, {"digest", string(r.Release.Digest)},
	} {
		fmt.Fprintf(&out, "%s=%s\n", o[0], strings.NewReplacer("\r", " ", "\n", " ").Replace(o[1]))
	}
	return out.String()
}

func hinted(hint string) string {
	if hint == "" {
		return ""
	}
	return "\nhint: " + hint
}

// command escapes the text of a workflow command, property what stands
// before it: otherwise what a service says could command the runner.
func command(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}

// quoted keeps a line of an error from being read as a workflow command.
func quoted(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), "::") {
			lines[i] = "| " + line
		}
	}
	return strings.Join(lines, "\n")
}
