package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-shipper/shipper/journal"
)

// bars is what is under way: builds and pushes by their progress, the step by
// the time it has.
type bars struct {
	under []bar // in the order in which they began
	step  *stepBar
}

// bar is one thing that moves.
type bar struct {
	what, host  string
	done, total int64
	began, last time.Time
}

// stepBar is the step of the moment; length is 0 where nobody knows.
type stepBar struct {
	text   string
	began  time.Time
	length time.Duration
}

// read follows the story: what begins, moves, and is over.
func (b *bars) read(r journal.Record) {
	switch r.Type {
	case journal.TypeProgress:
		if p := decode[journal.Progress](r); p.What != "" {
			b.move(p, r)
		}
	case journal.TypeBuild:
		b.end("build", "")
	case journal.TypeHost:
		b.end("connect", r.Host)
	case journal.TypePush:
		b.end("push", r.Host)
	case journal.TypeStep:
		b.step = newStep(decode[journal.StepBegan](r), r.Time)
	case journal.TypeUndone, journal.TypeCommitted, journal.TypePaused, journal.TypePrepared:
		b.step = nil
	case journal.TypeResult:
		b.under, b.step = nil, nil
	}
}

func newStep(d journal.StepBegan, at time.Time) *stepBar {
	s := &stepBar{text: stepped(d).text, began: at}
	if _, last, ok := strings.Cut(d.What, " "); ok {
		s.length, _ = time.ParseDuration(last) // 0 for a weight or a sentence
	}
	return s
}

func (b *bars) move(p journal.Progress, r journal.Record) {
	for i := range b.under {
		u := &b.under[i]
		if u.what == p.What && u.host == r.Host {
			u.done, u.total, u.last = p.Done, p.Total, r.Time
			return
		}
	}
	b.under = append(b.under, bar{clean(p.What), clean(r.Host), p.Done, p.Total, r.Time, r.Time})
}

func (b *bars) end(what, host string) {
	var left []bar
	for _, u := range b.under {
		if u.what != what || u.host != host {
			left = append(left, u)
		}
	}
	b.under = left
}

// maxBars bounds how much of the screen they take.
const maxBars = 8

func (b *bars) lines(now time.Time) []string {
	var out []string
	for i, u := range b.under {
		if i == maxBars {
			out = append(out, fmt.Sprintf("       and %d more", len(b.under)-i))
			break
		}
		out = append(out, u.line(now))
	}
	if b.step != nil {
		out = append(out, b.step.line(now))
	}
	return out
}

func (u bar) line(now time.Time) string {
	head := fmt.Sprintf("       %s  %s", pad(u.what, labelWidth), u.host)
	if u.total <= 0 || u.what != "push" { // nobody knows how long a build or a handshake takes
		return fmt.Sprintf("%s %s %s", strings.TrimRight(head, " "), spinner(now), span(now.Sub(u.began)))
	}
	text := fmt.Sprintf("%s %s %s of %s", head, gauge(u.done, u.total), bytes(u.done), bytes(u.total))
	took := u.last.Sub(u.began).Seconds()
	if r := rate(u.done, took); r != "" {
		left := seconds(took * float64(u.total-u.done) / float64(u.done))
		text += fmt.Sprintf(", %s", r) + remaining(", ", left)
	}
	return text
}

// remaining says nothing about the last moment.
func remaining(before string, left time.Duration) string {
	left = left.Round(time.Second)
	if left <= 0 {
		return ""
	}
	return before + span(left) + " left"
}

func (s stepBar) line(now time.Time) string {
	head := fmt.Sprintf("       %s  %s", pad("step", labelWidth), s.text)
	took := now.Sub(s.began)
	if s.length <= 0 {
		return fmt.Sprintf("%s %s %s", head, spinner(now), span(took))
	}
	return head + " " + gauge(int64(min(took, s.length)), int64(s.length)) + remaining(" ", s.length-took)
}

const gaugeWidth = 20

// gauge draws done of total.
func gauge(done, total int64) string {
	full := int(float64(gaugeWidth) * float64(min(max(done, 0), total)) / float64(total))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", gaugeWidth-full) + "]"
}

// spinner turns four times a second.
func spinner(now time.Time) string {
	return string(`|/-\`[now.UnixMilli()/250%4])
}
