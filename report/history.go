package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-shipper/shipper/journal"
)

// History writes one row per run; rows are records of journal.RunSummary.
func History(w io.Writer, rows []journal.Record, zone *time.Location) error {
	if len(rows) == 0 {
		_, err := io.WriteString(w, "no runs yet\n")
		return err
	}
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHEN\tRUN\tVERB\tRELEASE\tSTATE\tTOOK\tBY\tWHY")
	for _, r := range rows {
		d := decode[journal.RunSummary](r)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			d.Started.In(zone).Format("2006-01-02 15:04"), clean(d.Run), clean(d.Verb), orDash(clean(d.Release.Version)),
			howEnded(d), took(d), clean(d.Owner), firstWords(clean(d.Why)))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, trimLines(out.String()))
	return err
}

func howEnded(d journal.RunSummary) string {
	if d.State == "" {
		return "no end told"
	}
	return label(d.State)
}

func took(d journal.RunSummary) string {
	if d.Ended.Before(d.Started) {
		return "-"
	}
	return span(d.Ended.Sub(d.Started))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// firstWords keeps a table readable; `--json` has the whole text.
func firstWords(s string) string {
	if runes := []rune(s); len(runes) > 80 {
		return string(runes[:77]) + "..."
	}
	return s
}

// Answer writes a record that was asked for (validate, prune) on a line.
func Answer(w io.Writer, r journal.Record) error {
	switch r.Type {
	case journal.TypeChecked:
		d := decode[journal.Checked](r)
		_, err := fmt.Fprintf(w, "%s: ok\n  service    %s%s\n  hosts      %s (%s)\n  rollout    %s\n",
			clean(d.Environment), clean(d.Service), listens(d.Listen), clean(strings.Join(d.Hosts, ", ")), clean(d.Transport), way(d))
		return err
	case journal.TypeFinding:
		_, err := io.WriteString(w, finding(r.Host, decode[journal.Finding](r)))
		return err
	case journal.TypeKey:
		_, err := io.WriteString(w, madeKey(decode[journal.Key](r)))
		return err
	case journal.TypeVerified:
		_, err := io.WriteString(w, verified(decode[journal.Verified](r)))
		return err
	case journal.TypeTravel:
		_, err := fmt.Fprintf(w, "%s: %s\n", clean(r.Host), travels(decode[journal.Travel](r)))
		return err
	case journal.TypeForecast:
		_, err := io.WriteString(w, expected(decode[journal.Forecast](r)))
		return err
	case journal.TypeWayBack:
		_, err := fmt.Fprintf(w, "%s: %s\n", clean(r.Host), wayBack(decode[journal.WayBack](r)))
		return err
	case journal.TypePlan:
		d := decode[journal.Plan](r)
		_, err := fmt.Fprintf(w, "planned in %s: `shipper deploy --plan %s` releases %s exactly so, or refuses\n", clean(d.File), clean(d.File), clean(d.Release.Version))
		return err
	case journal.TypeReplayed:
		d := decode[journal.Replayed](r)
		_, err := fmt.Fprintf(w, "%s: %s after %s: %s\n", clean(d.Step), clean(d.Outcome), span(seconds(d.Elapsed)), clean(d.Why))
		return err
	case journal.TypePruned:
		_, err := fmt.Fprintf(w, "%s: %s\n", clean(r.Host), pruned(decode[journal.Pruned](r)).text)
		return err
	}
	return nil
}

func listens(address string) string {
	if address == "" {
		return ""
	}
	return " on " + clean(address)
}

func way(d journal.Checked) string {
	text := clean(d.Strategy)
	if len(d.Steps) > 0 {
		text += ": " + clean(strings.Join(d.Steps, ", "))
	}
	return text
}

// finding is one check of a host, with its remedy below it.
func finding(host string, d journal.Finding) string {
	mark := map[string]string{"ok": "ok", "warning": "warning", "problem": "PROBLEM"}[d.State]
	if mark == "" {
		mark = "unknown"
	}
	line := fmt.Sprintf("%-12s %-8s %-14s %s\n", clean(host), mark, clean(d.Check), clean(d.Detail))
	if d.Hint != "" {
		line += fmt.Sprintf("%-36s hint: %s\n", "", clean(d.Hint))
	}
	return line
}
