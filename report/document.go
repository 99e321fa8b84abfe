package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-shipper/shipper/journal"
)

// page is how a report looks: as plain text, or as Markdown.
type page struct {
	out      strings.Builder
	markdown bool
	from     time.Time
}

// Document writes a run's report for people.
func Document(w io.Writer, d journal.Report, markdown bool, zone *time.Location) error {
	p := &page{markdown: markdown, from: d.Started}
	p.title(title(d.RunStarted, journal.Result{State: d.State, Verb: d.Verb}))
	p.facts(d, zone)
	p.rows("Hosts", hostHead(d), hostEnds(d))
	p.rows("Steps", []string{"after", "step"}, p.steps(d))
	p.rows("Verdicts", []string{"after", "step", "outcome", "evidence"}, p.judgements(d))
	p.rows("Requests, warnings, hooks", []string{"after", "what", "host", ""}, p.notes(d))
	_, err := io.WriteString(w, p.out.String())
	return err
}

func (p *page) title(text string) {
	if p.markdown {
		p.out.WriteString("## " + text + "\n\n")
		return
	}
	p.out.WriteString(plainText(text) + "\n\n")
}

// plainText takes back what the title escapes for Markdown.
func plainText(s string) string {
	return strings.NewReplacer(`\`, "", "&lt;", "<", "&gt;", ">").Replace(s)
}

// facts are who, when, from where and what.
func (p *page) facts(d journal.Report, zone *time.Location) {
	who := d.Owner
	if d.Address != "" {
		who += " from " + d.Address
	}
	facts := [][2]string{
		{"run", d.Run}, {"verb", d.Verb}, {"by", who}, {"began", d.Started.In(zone).Format(time.RFC3339)},
		{"took", span(d.Ended.Sub(d.Started))}, {"release", d.Release.String()}, {"digest", string(d.Release.Digest)},
		{"source", origin(d.Provenance)}, {"strategy", d.Strategy}, {"settings", string(d.Settings)}, {"shipper", d.Version}, {"goes on with", d.Retries},
		{"error", d.Error}, {"hint", d.Hint},
	}
	if d.Hotfix {
		facts = append(facts, [2]string{"hotfix", "it took rollout.hotfixSteps"})
	}
	if d.Irreversible {
		facts = append(facts, [2]string{"irreversible", "there is no way back behind it"})
	}
	var rows [][]string
	for _, f := range facts {
		if f[1] != "" && f[1] != "()" {
			rows = append(rows, []string{f[0], f[1]})
		}
	}
	p.rows("", []string{"", ""}, rows)
}

func origin(o *journal.Provenance) string {
	if o == nil {
		return ""
	}
	var parts []string
	if o.Commit != "" {
		parts = append(parts, "commit "+o.Commit)
	}
	if o.Builder != "" {
		parts = append(parts, strings.TrimSpace("built by "+o.Builder+" "+o.Toolchain))
	}
	if o.Signed {
		parts = append(parts, "signed")
	}
	return strings.Join(parts, ", ")
}

// rows writes a table; without rows there is none.
func (p *page) rows(heading string, head []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	if p.markdown {
		if heading != "" {
			p.out.WriteString("### " + heading + "\n\n")
		}
		fmt.Fprintf(&p.out, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
		for _, r := range rows {
			for i := range r {
				r[i] = escape(r[i])
			}
			fmt.Fprintf(&p.out, "| %s |\n", strings.Join(r, " | "))
		}
		p.out.WriteString("\n")
		return
	}
	if heading != "" {
		p.out.WriteString("\n" + strings.ToUpper(heading) + "\n")
	}
	p.out.WriteString(columns(rows))
}

// columns sets all but the last column to its width: the last may be long.
func columns(rows [][]string) string {
	width := map[int]int{}
	for _, r := range rows {
		for i := range r[:len(r)-1] {
			width[i] = max(width[i], len([]rune(clean(r[i]))))
		}
	}
	var out strings.Builder
	for _, r := range rows {
		line := "  "
		for i := range r {
			line += fmt.Sprintf("%-*s  ", width[i], clean(r[i]))
		}
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return out.String()
}

func hostEnds(d journal.Report) [][]string {
	var rows [][]string
	for _, h := range d.HostEnds {
		how := h.Why
		if h.By != "" {
			how = strings.TrimPrefix(how+", by the "+h.By, ", ")
		}
		if h.Millis > 0 {
			how += ", after " + span(time.Duration(h.Millis)*time.Millisecond)
		}
		if h.Autopsy != "" {
			how += ", kept for a look: " + h.Autopsy
		}
		with := h.Release.Version
		if h.Slot != "" {
			with += " in " + string(h.Slot)
		}
		row := []string{h.Host}
		if inBatches(d) {
			batch := "-"
			if h.Batch > 0 {
				batch = strconv.Itoa(h.Batch)
			}
			row = append(row, batch)
		}
		rows = append(rows, append(row, h.End, orDash(with), how))
	}
	return rows
}

// hostHead names the columns of hostEnds.
func hostHead(d journal.Report) []string {
	if inBatches(d) {
		return []string{"host", "batch", "ended", "with", "how"}
	}
	return []string{"host", "ended", "with", "how"}
}

func inBatches(d journal.Report) bool {
	return slices.ContainsFunc(d.HostEnds, func(h journal.ReportHost) bool { return h.Batch > 0 })
}

func (p *page) after(t time.Time) string { return clock(t.Sub(p.from)) }

func (p *page) steps(d journal.Report) [][]string {
	var rows [][]string
	for _, s := range d.Steps {
		rows = append(rows, []string{p.after(s.Time), stepped(s.StepBegan).text})
	}
	return rows
}

func (p *page) judgements(d journal.Report) [][]string {
	var rows [][]string
	for _, j := range d.Judgements {
		why := j.Why
		if j.Canary != nil && !strings.Contains(why, "canary") {
			why += "; canary " + arm(*j.Canary) + ", stable " + arm(*j.Stable)
		}
		if j.Evidence != "" {
			why += "; evidence: " + j.Evidence
		}
		rows = append(rows, []string{p.after(j.Time), orDash(j.Step), strings.TrimSpace(j.Signal + " " + j.Outcome), why})
	}
	return rows
}

func (p *page) notes(d journal.Report) [][]string {
	var rows [][]string
	for _, n := range d.Said {
		rows = append(rows, []string{p.after(n.Time), n.Kind, orDash(n.Host), n.Text})
	}
	return rows
}
