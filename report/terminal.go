package report

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-shipper/shipper/journal"
)

// Tick is a record that tells nothing but the time: it moves the bars of a
// terminal between two records.
func Tick(now time.Time) journal.Record {
	return journal.Record{V: journal.Version, Time: now, Type: journal.TypeProgress}
}

// Terminal returns a reader that tells the story as lines: time since the
// start, what, where, and the news. On a terminal bars for what is under way
// stand below and are redrawn in place; elsewhere there are no escape codes.
func Terminal(w io.Writer, o Options) func(journal.Record) {
	if o.Width <= 0 {
		o.Width = 80
	}
	t := &terminal{w: w, o: o, story: story{verbose: o.Verbose}}
	t.room(o.Hosts)
	return t.read
}

type terminal struct {
	w     io.Writer
	o     Options
	story story
	bars  bars
	start time.Time
	hosts int // width of the column of hosts
	drawn int // lines of bars on the screen
}

func (t *terminal) read(r journal.Record) {
	if t.start.IsZero() {
		t.start = r.Time
	}
	var out strings.Builder
	if t.o.TTY {
		t.erase(&out)
	}
	t.widen(r)
	if line, ok := t.story.line(r); ok {
		out.WriteString(t.layout(r, line))
	}
	if t.o.TTY {
		t.bars.read(r)
		t.draw(&out, r.Time)
	}
	_, _ = io.WriteString(t.w, out.String()) // a closed terminal stops no run
}

// widen makes room for the hosts that a record names.
func (t *terminal) widen(r journal.Record) {
	t.room([]string{r.Host})
	if r.Type == journal.TypeRunStarted {
		t.room(decode[journal.RunStarted](r).Hosts)
	}
}

// maxHost bounds the column of hosts; longer names push their line.
const maxHost = 24

func (t *terminal) room(names []string) {
	for _, name := range names {
		t.hosts = min(max(t.hosts, utf8.RuneCountInString(clean(name))), maxHost)
	}
}

// labelWidth fits the longest label, "rolled back".
const labelWidth = 11

func (t *terminal) layout(r journal.Record, s said) string {
	host := ""
	if t.hosts > 0 {
		host = pad(clean(r.Host), t.hosts) + "  "
	}
	line := fmt.Sprintf("%s  %s  %s%s", clock(r.Time.Sub(t.start)), t.paint(s.mood, pad(s.label, labelWidth)), host, s.text)
	return strings.TrimRight(line, " ") + "\n"
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

func (t *terminal) paint(m mood, s string) string {
	if !t.o.Color || m == plain {
		return s
	}
	code := map[mood]string{quiet: "2", good: "32", warn: "33", bad: "31"}[m]
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// erase takes the bars off the screen.
func (t *terminal) erase(out *strings.Builder) {
	if t.drawn > 0 {
		fmt.Fprintf(out, "\x1b[%dA\x1b[J", t.drawn)
	}
	t.drawn = 0
}

func (t *terminal) draw(out *strings.Builder, now time.Time) {
	for _, line := range t.bars.lines(now) {
		if runes := []rune(line); len(runes) >= t.o.Width { // a wrapped line could not be erased
			line = string(runes[:t.o.Width-1])
		}
		out.WriteString(line + "\n")
		t.drawn++
	}
}
