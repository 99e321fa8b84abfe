package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

// Fleet is what follows from what all hosts say.
type Fleet struct {
	Service     string
	Environment string
	State       string
	Release     release.Release // what all hosts run; zero where they differ
	Run         string
	Why         string
}

// Status writes one look at the fleet: what follows from it, a row per slot,
// and what else there is to know, once for all hosts that agree. rows are
// records of journal.ServiceState.
func Status(w io.Writer, f Fleet, rows []journal.Record, now time.Time) error {
	var out strings.Builder
	out.WriteString(headline(f) + "\n\n")
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tSLOT\tRELEASE\tSERVICE\tTRAFFIC\tPORT")
	var notes remarks
	for _, r := range rows {
		d := decode[journal.ServiceState](r)
		hostRows(table, clean(r.Host), d)
		notes.of(clean(r.Host), d, now)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	notes.write(&out, len(rows))
	_, err := io.WriteString(w, trimLines(out.String()))
	return err
}

// trimLines takes off the padding that a table leaves at the end of lines.
func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

func headline(f Fleet) string {
	text := clean(f.Service) + " in " + clean(f.Environment) + ": "
	switch {
	case f.State != "" && !f.Release.IsZero():
		text += label(f.State) + ", stable is " + name(f.Release)
	case f.State != "":
		text += label(f.State)
	case !f.Release.IsZero():
		text += "stable is " + name(f.Release)
	default:
		text += "no release"
	}
	if f.Why != "" {
		text += "\n" + clean(f.Why)
	}
	return text
}

func hostRows(w io.Writer, host string, d journal.ServiceState) {
	switch {
	case d.Error != "":
		fmt.Fprintf(w, "%s\t-\tunknown: no answer\t\t\t\n", host)
		return
	case !d.Known:
		fmt.Fprintf(w, "%s\t-\tnothing here\t\t\t\n", host)
		return
	}
	for _, slot := range release.Slots() {
		s, ok := d.Slots[slot]
		if !ok {
			continue
		}
		label := string(slot)
		if slot == d.Stable {
			label += " *"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", host, label, slotRelease(s), slotService(slot, s, d), traffic(slot, s, d), port(s.Port))
		host = ""
	}
	if host != "" {
		fmt.Fprintf(w, "%s\t-\tno release\t\t\t\n", host)
	}
}

func slotRelease(s journal.SlotState) string {
	if s.Release.IsZero() {
		return "-"
	}
	return name(s.Release)
}

// slotService tells the service manager's state, and why an idle slot runs.
func slotService(slot release.Slot, s journal.SlotState, d journal.ServiceState) string {
	state := clean(s.Live.State)
	if slot != d.Stable && d.WarmSeconds > 0 && s.Live.State == "running" && weight(slot, d) == 0 {
		state += ", warm for " + span(seconds(d.WarmSeconds))
	}
	return state
}

func weight(slot release.Slot, d journal.ServiceState) release.Weight {
	if d.Traffic == nil {
		return 0
	}
	return d.Traffic.Weights[slot]
}

func traffic(slot release.Slot, s journal.SlotState, d journal.ServiceState) string {
	w := weight(slot, d)
	switch {
	case d.Traffic == nil, w == 0 && s.Live.State != "running":
		return "-"
	case d.Traffic.Leased && slot != d.Stable && w > 0:
		return w.String() + ", leased"
	}
	return w.String()
}

func port(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// remarks are sentences with the hosts that they hold for.
type remarks struct {
	texts []string
	hosts map[string][]string
	drift bool // on some host
}

func (m *remarks) add(host, text string) {
	if m.hosts == nil {
		m.hosts = map[string][]string{}
	}
	if !slices.Contains(m.texts, text) {
		m.texts = append(m.texts, text)
	}
	m.hosts[text] = append(m.hosts[text], host)
}

func (m *remarks) of(host string, d journal.ServiceState, now time.Time) {
	if d.Error != "" {
		m.add(host, "no answer: "+clean(d.Error))
		if strings.Contains(d.BehindWhy, "left behind") {
			m.add(host, "behind: "+clean(d.BehindWhy))
		}
		return
	}
	if r := d.Run; r != nil {
		m.add(host, runText(*r, now))
	}
	if l := d.Session; l != nil {
		m.add(host, lockText(*l, now))
	}
	if d.Frozen != "" {
		m.add(host, "frozen: "+clean(d.Frozen))
	}
	if d.Behind {
		m.add(host, "behind: "+clean(cmp.Or(d.BehindWhy, "not on the release of the others")))
	}
	for _, n := range d.Notes {
		m.add(host, "note: "+clean(n))
	}
	for _, c := range d.Drift {
		m.add(host, "changed: "+changed(c))
	}
	if d.DriftWhy != "" {
		m.add(host, "what was changed by others is not known: "+clean(d.DriftWhy))
	}
	m.drift = m.drift || len(d.Drift) > 0
}

// write tells each remark, with its hosts where it does not hold for all.
func (m *remarks) write(out *strings.Builder, all int) {
	if len(m.texts) > 0 {
		out.WriteString("\n")
	}
	for _, text := range m.texts {
		hosts := m.hosts[text]
		if len(hosts) < all {
			text = strings.Join(hosts, ", ") + ": " + text
		}
		out.WriteString(text + "\n")
	}
	if m.drift {
		out.WriteString("`shipper sync` restores what was changed, and so does the next deploy\n")
	}
}

func runText(r journal.RunState, now time.Time) string {
	text := fmt.Sprintf("run %s: %s", clean(r.ID), clean(r.Verb))
	if !r.Release.IsZero() {
		text += " of " + name(r.Release)
	}
	text += ", " + label(r.State)
	if r.Phase != "" && r.State == "Running" {
		text += " (" + clean(r.Phase) + ")"
	}
	if !r.Since.IsZero() {
		text += ", begun " + ago(now, r.Since)
	}
	if r.Why != "" {
		text += ": " + clean(r.Why)
	}
	return text
}

func lockText(l journal.Session, now time.Time) string {
	text := "lock: " + clean(l.Owner)
	if l.Address != "" {
		text += " from " + clean(l.Address)
	}
	if !l.Since.IsZero() {
		text += " since " + ago(now, l.Since)
	}
	switch {
	case l.Manual && l.Message != "":
		text += ", until released: " + clean(l.Message)
	case l.Manual:
		text += ", until released"
	case l.Run != "":
		text += ", run " + clean(l.Run)
	}
	return text
}

// ago writes a time as people say it: the clock today, the date before.
func ago(now, then time.Time) string {
	then = then.In(now.Location())
	if now.Sub(then) < 20*time.Hour && now.Sub(then) > -time.Hour {
		return then.Format("15:04:05")
	}
	return then.Format("2006-01-02 15:04")
}

// Locks writes who holds the lock on each host.
func Locks(w io.Writer, rows []journal.Record, now time.Time) error {
	var notes remarks
	for _, r := range rows {
		host, d := clean(r.Host), decode[journal.ServiceState](r)
		switch {
		case d.Error != "":
			notes.add(host, "no answer: "+clean(d.Error))
		case d.Session == nil:
			notes.add(host, "lock: free")
		default:
			notes.add(host, lockText(*d.Session, now))
		}
	}
	var out strings.Builder
	notes.write(&out, len(rows))
	_, err := io.WriteString(w, strings.TrimLeft(out.String(), "\n"))
	return err
}
