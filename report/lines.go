package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

// mood decides the colour of a label.
type mood int

const (
	plain mood = iota
	quiet
	good
	warn
	bad
)

// said is one line of the story, before it is laid out.
type said struct {
	label string
	text  string
	mood  mood
}

// story turns records into lines; it remembers what was said last, so that
// repetitions are not told twice.
type story struct {
	verbose bool
	verdict map[string]string // last outcome told, by signal
}

// line says what r means to a person; ok is false where nothing is worth it.
func (s *story) line(r journal.Record) (said, bool) {
	switch r.Type {
	case journal.TypeRunStarted:
		return opening(decode[journal.RunStarted](r)), true
	case journal.TypeBuild:
		return built(decode[journal.Build](r)), true
	case journal.TypeHost:
		return connected(r.Host, decode[journal.HostInfo](r)), true
	case journal.TypeShelved:
		return shelved(decode[journal.Shelved](r)), true
	case journal.TypePromotion:
		return promoted(decode[journal.Promotion](r)), true
	case journal.TypeDelta:
		return differs(decode[journal.Delta](r)), true
	case journal.TypePush:
		return pushed(decode[journal.Push](r)), true
	case journal.TypeStarted:
		return started(decode[journal.SlotStarted](r)), true
	case journal.TypeSmoke:
		return smoked(decode[journal.Smoke](r)), true
	case journal.TypeStep:
		return stepped(decode[journal.StepBegan](r)), true
	case journal.TypeWeight:
		return said{"weight", decode[journal.WeightSet](r).Weight.String() + " of the traffic", plain}, true
	case journal.TypeMeasurement:
		return s.measured(decode[journal.Measurement](r))
	case journal.TypeVerdict:
		return judged(decode[journal.Verdict](r)), true
	case journal.TypeRequest:
		return requested(decode[journal.Request](r)), true
	case journal.TypeCommitted:
		return committed(decode[journal.Committed](r)), true
	case journal.TypeUndone:
		return undone(decode[journal.Undone](r)), true
	case journal.TypePruned:
		return pruned(decode[journal.Pruned](r)), true
	case journal.TypeResult:
		return ended(decode[journal.Result](r))
	}
	return s.note(r)
}

// note tells the records that carry one sentence.
func (s *story) note(r journal.Record) (said, bool) {
	text := clean(decode[journal.Note](r).Text)
	switch r.Type {
	case journal.TypeSession:
		return said{"lock", text, quiet}, true
	case journal.TypePaused:
		return said{"paused", text, warn}, true
	case journal.TypeWarning:
		return said{"warning", text, warn}, true
	case journal.TypeHook:
		return said{"hook", text, quiet}, true
	case journal.TypePrepared:
		return said{"prepare", text, quiet}, s.verbose
	case journal.TypeLog:
		return said{"log", text, quiet}, s.verbose
	}
	return said{}, false
}

func opening(d journal.RunStarted) said {
	parts := []string{clean(d.Service)}
	if !d.Release.IsZero() {
		parts[0] += " " + name(d.Release)
	}
	parts[0] += " to " + clean(d.Environment)
	if d.Strategy != "" {
		parts = append(parts, clean(d.Strategy))
	}
	if n := len(d.Hosts); n > 0 {
		parts = append(parts, plural(n, "host"))
	}
	return said{clean(d.Verb), strings.Join(parts, ", "), good}
}

func name(r release.Release) string {
	if r.Digest == "" {
		return clean(r.Version)
	}
	return clean(r.String())
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func built(d journal.Build) said {
	text := fmt.Sprintf("%s by %s", name(release.Release{Version: d.Version, Digest: d.Digest}), clean(d.Builder))
	if len(d.Targets) > 0 {
		text += " for " + clean(strings.Join(d.Targets, ", "))
	}
	if d.Bytes > 0 {
		text += ", " + bytes(d.Bytes)
	}
	return said{"build", text + ", " + span(seconds(d.Seconds)), plain}
}

// connected tells what answers; its own name only where it is another than ours.
func connected(host string, d journal.HostInfo) said {
	var parts []string
	for _, s := range []string{d.Hostname, d.OS, d.Arch} {
		if s != "" && !strings.EqualFold(s, host) {
			parts = append(parts, clean(s))
		}
	}
	label, m := "connect", plain
	switch d.Action {
	case "bootstrapped":
		parts = append(parts, "helper installed")
	case "lost":
		label, m = "lost", bad
		parts = append(parts, "connection lost")
	}
	return said{label, strings.Join(parts, ", "), m}
}

func pushed(d journal.Push) said {
	if d.Wire == 0 && d.Pulled > 0 {
		return said{"push", fmt.Sprintf("the host fetched %s itself, %s in %s", plural(d.Pulled, "content"), bytes(d.Fetched), span(seconds(d.Seconds))), plain}
	}
	if d.Wire == 0 {
		return said{"push", "nothing to send, the host has all " + plural(d.Files, "file"), plain}
	}
	text := fmt.Sprintf("%s in %s", bytes(d.Wire), span(seconds(d.Seconds)))
	if r := rate(d.Wire, d.Seconds); r != "" {
		text += ", " + r
	}
	if d.Deltas > 0 {
		text += fmt.Sprintf(" (what differs of %s)", bytes(d.Bytes))
	} else if d.Bytes > d.Wire {
		text += fmt.Sprintf(" (%s unpacked)", bytes(d.Bytes))
	}
	return said{"push", text, plain}
}

func travels(d journal.Travel) string {
	text := "nothing travels, the host has all " + plural(d.Files, "file")
	if d.Sent > 0 {
		text = fmt.Sprintf("%s travel for %s of %d (%s)", bytes(d.Bytes), plural(d.Sent, "file"), d.Files, bytes(d.Size))
	}
	switch {
	case d.Bare:
		text += ", and the helper: shipper was never here"
	case d.Deltas > 0:
		text += fmt.Sprintf(", %d as what differs", d.Deltas)
	}
	if d.Owner != "" {
		text += fmt.Sprintf("\n  port %d belongs to %s: docs/ROUTER.md tells how it moves behind the router", d.Port, clean(d.Owner))
	}
	for _, c := range d.Drift {
		text += "\n  puts right: " + changed(c)
	}
	return text
}

// changed is what somebody else did to a host.
func changed(d journal.Drift) string {
	return clean(strings.TrimSpace(string(d.Slot)+" "+d.What) + " is " + d.Have + "; should be " + d.Want)
}

func differs(d journal.Delta) said {
	return said{"delta", fmt.Sprintf("%s: %s of %s differ from %s, found in %s",
		d.Path, bytes(d.Bytes), bytes(d.Size), name(d.Base), span(seconds(d.Seconds))), plain}
}

func started(d journal.SlotStarted) said {
	text := fmt.Sprintf("%s in %s", name(d.Release), d.Slot)
	if d.PID != 0 {
		text += fmt.Sprintf(", pid %d", d.PID)
	}
	if d.Port != 0 {
		text += fmt.Sprintf(", port %d", d.Port)
	}
	return said{"start", text, plain}
}

func smoked(d journal.Smoke) said {
	detail := clean(d.Detail)
	if detail == "" {
		detail = clean(d.Check)
	}
	if !d.OK {
		return said{"smoke", "FAILED " + detail, bad}
	}
	return said{"smoke", "ok, " + detail, plain}
}

// members names the hosts of a batch, if they are told and not too many for a line.
func members(hosts []string) string {
	const most = 6
	switch n := len(hosts); {
	case n == 0:
		return ""
	case n > most:
		return fmt.Sprintf(" (%s and %d more)", clean(strings.Join(hosts[:most-1], ", ")), n-most+1)
	}
	return " (" + clean(strings.Join(hosts, ", ")) + ")"
}

func stepped(d journal.StepBegan) said {
	text := fmt.Sprintf("%d/%d %s", d.Step, d.Steps, clean(d.What))
	if d.Batches > 1 {
		text = fmt.Sprintf("batch %d/%d%s, step %s", d.Batch, d.Batches, members(d.Hosts), text)
	}
	return said{"step", text, good}
}

// measured tells a measurement when its outcome differs from the last one of
// the signal, and every failed one.
func (s *story) measured(d journal.Measurement) (said, bool) {
	if s.verdict == nil {
		s.verdict = map[string]string{}
	}
	before, known := s.verdict[d.Signal]
	s.verdict[d.Signal] = d.Outcome
	news := d.Outcome == "Failed" || known && before != d.Outcome
	m := moodOf(d.Outcome)
	return said{clean(d.Signal), fmt.Sprintf("%s: %s", strings.ToLower(clean(d.Outcome)), evidence(d)), m}, news || s.verbose
}

// evidence is the reason of a measurement, or its numbers where it has none.
// The label names the signal already.
func evidence(d journal.Measurement) string {
	if d.Why != "" {
		return strings.TrimPrefix(clean(d.Why), clean(d.Signal)+" ")
	}
	return "canary " + arm(d.Canary) + ", stable " + arm(d.Stable)
}

func arm(a journal.Arm) string {
	return fmt.Sprintf("%.2g %% (%d/%d)", a.Ratio*100, a.Errors, a.Requests)
}

func moodOf(outcome string) mood {
	switch outcome {
	case "Successful":
		return good
	case "Failed", "Error":
		return bad
	case "Inconclusive":
		return warn
	}
	return plain
}

// judged tells a verdict. The reason of a failed one ends with where and when
// by itself: "… → Failed at step 2/6, 5 s after first traffic".
func judged(d journal.Verdict) said {
	text := strings.ToUpper(clean(d.Outcome))
	if d.Why != "" {
		text += ": " + clean(d.Why)
	}
	whole := strings.Contains(d.Why, "→ "+d.Outcome)
	if d.Step != "" && !whole {
		text += ", at " + clean(d.Step)
	}
	if d.Elapsed > 0 && !whole {
		text += fmt.Sprintf(", %s after the first traffic", span(seconds(d.Elapsed)))
	}
	if d.Evidence != "" && d.Evidence != "none" { // the reason says so
		text += ", evidence: " + clean(d.Evidence)
	}
	return said{"verdict", text, moodOf(d.Outcome)}
}

func requested(d journal.Request) said {
	text := clean(d.Kind)
	if d.By != "" {
		text += " by " + clean(d.By)
	}
	return said{"asked", text, warn}
}

func shelved(d journal.Shelved) said {
	if d.Already {
		return said{"push", clean(d.Bundle) + " is there already", plain}
	}
	return said{"push", clean(d.Bundle) + " is there, verified", good}
}

func promoted(d journal.Promotion) said {
	return said{"promotion", fmt.Sprintf("%s was stable in %s for %s on %s", name(d.Release), clean(d.Environment), span(seconds(d.Seconds)), plural(len(d.Hosts), "host")), good}
}

func committed(d journal.Committed) said {
	return said{"commit", fmt.Sprintf("%s in %s is stable", name(d.Release), d.Slot), good}
}

func undone(d journal.Undone) said {
	text := "no release runs here now"
	if !d.Release.IsZero() {
		text = name(d.Release) + " serves all again"
	}
	if d.Millis > 0 {
		text += fmt.Sprintf(" after %s", span(time.Duration(d.Millis)*time.Millisecond))
	}
	if d.By != "" && d.By != "controller" {
		text += ", by the " + clean(d.By)
	}
	if d.Autopsy != "" {
		text += "; what failed is kept in " + clean(d.Autopsy)
	}
	return said{"back", text, warn}
}

func pruned(d journal.Pruned) said {
	verb := "removed "
	if d.DryRun {
		verb = "would remove "
	}
	what := "nothing"
	if len(d.Removed) > 0 {
		what = clean(strings.Join(d.Removed, ", ")) + ", " + bytes(d.Bytes)
	}
	return said{"prune", fmt.Sprintf("%s%s; %d kept", verb, what, len(d.Kept)), plain}
}

// ended is the last line of a run; verbs without a run end silently.
func ended(d journal.Result) (said, bool) {
	if d.Run == "" || d.State == "" || slices.Contains([]string{"status", "history", "logs", "lock status"}, d.Verb) {
		return said{}, false
	}
	m := bad
	switch d.State {
	case "Promoted":
		m = good
	case "Running", "Paused", "Aborted":
		m = warn
	case "RolledBack":
		if d.Exit == 0 {
			m = good
		}
	}
	text := "run " + clean(d.Run)
	if !d.Release.IsZero() {
		text = name(d.Release) + ", " + text
	}
	return said{label(d.State), text, m}, true
}

// label writes RolledBack as "rolled back".
func label(state string) string {
	if state == "RolledBack" {
		return "rolled back"
	}
	return strings.ToLower(clean(state))
}
