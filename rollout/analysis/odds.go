package analysis

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// text tells the evidence against the canary as odds, led by the numbers that
// say most.
func (e *evidence) text(now time.Time) string {
	lead, subject := &e.errors, "errors"
	best := e.errors.log(e.reserve) + math.Log(onErrors)
	for i := range e.slow {
		if l := e.slow[i].log(e.reserve) + math.Log(onSlow); l > best {
			lead, best = &e.slow[i], l
			subject = fmt.Sprintf("latency above %s × stable's p%s:",
				strconv.FormatFloat(1+e.tolerance, 'g', 4, 64), strconv.FormatFloat(quantiles[i]*100, 'g', 4, 64))
		}
	}
	t, when := lead.total, ""
	if lead == &e.errors {
		t.plus(e.pooled())
	}
	if lead.recent() > lead.early() {
		t = lead.late
		t.plus(lead.lately)
		when = fmt.Sprintf(" in the last %s", (time.Minute + now.Sub(e.minute)).Round(time.Second))
	}
	return fmt.Sprintf("%s canary %s vs stable %s%s: evidence %s that the canary is worse, abort at %s", subject,
		eventText(t.canaryEvents, t.canary), eventText(t.stableEvents, t.stable), when, odds(e.log()), odds(-math.Log(e.alpha)))
}

// passText tells how far the proof of this step is.
func (e *evidence) passText() string {
	text := fmt.Sprintf("; canary %s in this step: evidence %s that less than %s fails, enough at %s",
		eventText(e.pass.errors, e.pass.canary), odds(e.pass.log), percent(e.limit), odds(-math.Log(e.beta)))
	if s := e.window.stable; e.pass.log < -math.Log(e.beta) && s.ratio() >= e.limit {
		text += fmt.Sprintf(" (stable itself fails %s: raise maxErrors)", percent(s.ratio()))
	}
	return text
}

func (e *evidence) mismatchText() string {
	n := e.seen.canary + e.seen.stable
	return fmt.Sprintf("sample ratio mismatch: canary got %s of the requests, its weight is %s: the arms can not be compared",
		eventText(e.seen.canary, n), e.weight)
}

func eventText(events, n int64) string {
	return ratioText(Counts{Requests: n, Errors: min(events, n)})
}

// odds writes exp(log) to 1.
func odds(log float64) string {
	switch x := math.Exp(log); {
	case x < 0.01:
		return "below 0.01:1"
	case x < 10:
		return strconv.FormatFloat(x, 'g', 2, 64) + ":1"
	case x < 1e6:
		return strconv.FormatFloat(math.Floor(x+1e-6), 'f', 0, 64) + ":1"
	}
	return "over 1000000:1"
}
