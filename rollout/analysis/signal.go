package analysis

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// judge measures one window by the signal's limits: broken where one limit
// is, fine only where all are kept.
func (g *gauge) judge(now time.Time, w *window) Measurement {
	if g.evidence != nil {
		w = &g.evidence.window
	}
	m := Measurement{Signal: g.Name, Canary: arm(w.canary), Stable: arm(w.stable)}
	switch g.Kind {
	case Evidence:
		m.Outcome, m.Why = g.evidence.judge(now, g.MinRequests)
	case Latency:
		m.Outcome, m.Why = g.latency(w)
	default:
		m.Outcome, m.Why = g.errors(w)
	}
	return m
}

func (g *gauge) errors(w *window) (Outcome, string) {
	n := w.canary.Requests
	text := fmt.Sprintf("%s canary %s vs stable %s", g.Name, ratioText(w.canary), ratioText(w.stable))
	var limits limits
	if g.MaxRatio > 0 {
		limits.add(judgeShare(w.canary.Errors, n, g.MaxRatio), "limit "+percent(g.MaxRatio))
	}
	if g.MaxDelta > 0 {
		limits.add(g.aboveStable(w))
	}
	return g.gate(n, text, limits)
}

// aboveStable compares with stable's share plus a margin. Few requests of
// stable still tell something: a canary within the margin alone is no worse
// than any stable, and one beyond the worst that stable may be is worse.
func (g *gauge) aboveStable(w *window) (Outcome, string) {
	label := "limit stable + " + percent(g.MaxDelta)
	e, n, m := w.canary.Errors, w.canary.Requests, w.stable.Requests
	if m >= g.MinRequests {
		return judgeShare(e, n, w.stable.ratio()+g.MaxDelta), label
	}
	if judgeShare(e, n, g.MaxDelta) == Successful {
		return Successful, label
	}
	if worst := upper(w.stable.Errors, m) + g.MaxDelta; judgeShare(e, n, worst) == Failed {
		return Failed, fmt.Sprintf("limit %s (the worst that stable may be by its few requests + %s)", percent(worst), percent(g.MaxDelta))
	}
	return Inconclusive, label + g.few("stable", m)
}

func (g *gauge) latency(w *window) (Outcome, string) {
	canary, stable := histogram(w.canary.Latency), histogram(w.stable.Latency)
	n := canary.total()
	name := "p" + strconv.FormatFloat(g.Percentile*100, 'f', -1, 64)
	text := fmt.Sprintf("%s %s canary %s (%d) vs stable %s (%d)", g.Name, name,
		millis(canary.quantile(g.Percentile)), n, millis(stable.quantile(g.Percentile)), stable.total())
	var limits limits
	if g.MaxLatency > 0 {
		limits.add(g.slower(canary, g.MaxLatency), g.above(canary, g.MaxLatency, "limit "+millis(g.MaxLatency)))
	}
	if g.MaxFactor > 0 {
		label := fmt.Sprintf("limit %s × stable", strconv.FormatFloat(g.MaxFactor, 'f', -1, 64))
		if stable.total() < g.MinRequests {
			limits.add(Inconclusive, label+g.few("stable", stable.total()))
		} else {
			bound := time.Duration(g.MaxFactor * float64(stable.quantile(g.Percentile)))
			limits.add(g.slower(canary, bound), g.above(canary, bound, label))
		}
	}
	return g.gate(n, text, limits)
}

// slower decides whether more requests than the percentile allows took
// longer than limit.
func (g *gauge) slower(h histogram, limit time.Duration) Outcome {
	return judgeShare(h.above(limit), h.total(), 1-g.Percentile)
}

func (g *gauge) above(h histogram, limit time.Duration, label string) string {
	return fmt.Sprintf("%s (%d above %s, %s allowed)", label, h.above(limit), millis(limit), percent(1-g.Percentile))
}

// gate asks for enough requests of the canary before limits may speak.
func (g *gauge) gate(n int64, text string, l limits) (Outcome, string) {
	text += ", " + strings.Join(l.labels, ", ")
	if n < g.MinRequests {
		return Inconclusive, text + g.few("canary", n)
	}
	return l.worst(), text
}

func (g *gauge) few(who string, n int64) string {
	return few(who, n, g.MinRequests)
}

func few(who string, n, needed int64) string {
	return fmt.Sprintf(" (%s has %d of %d requests needed)", who, n, needed)
}

// limits collects how each limit of a signal stands.
type limits struct {
	outcomes []Outcome
	labels   []string
}

func (l *limits) add(o Outcome, label string) {
	l.outcomes, l.labels = append(l.outcomes, o), append(l.labels, label)
}

func (l *limits) worst() Outcome {
	out := Successful
	for _, o := range l.outcomes {
		if o == Failed {
			return Failed
		}
		if o == Inconclusive {
			out = Inconclusive
		}
	}
	return out
}

func arm(c Counts) Arm {
	h := histogram(c.Latency)
	return Arm{Requests: c.Requests, Errors: c.Errors, Ratio: c.ratio(), P50: h.quantile(0.5), P99: h.quantile(0.99)}
}

func ratioText(c Counts) string {
	return fmt.Sprintf("%s (%d/%d)", percent(c.ratio()), c.Errors, c.Requests)
}

// percent writes a share for people: at most two decimals, never a rounded-off zero.
func percent(share float64) string {
	p := share * 100
	digits := 2
	for limit := 0.01; p > 0 && p < limit && digits < 6; limit /= 10 {
		digits++
	}
	s := strconv.FormatFloat(p, 'f', digits, 64)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".") + " %"
}

func millis(d time.Duration) string {
	if d >= 10*time.Second {
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	ms := float64(d) / float64(time.Millisecond)
	if ms >= 10 {
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	}
	return strconv.FormatFloat(ms, 'f', 2, 64) + " ms"
}
