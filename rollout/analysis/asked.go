package analysis

import (
	"fmt"
	"math"
	"time"
)

// answerAfter is how long a source may take until its silence counts as an
// error; it has a shorter deadline of its own.
const answerAfter = 2 * time.Minute

// Question is a measurement that a source outside is to take.
type Question struct {
	Signal string
	Number int // Answer must name it: an answer to an earlier step is none
}

// Ask lists the questions that are due: each signal of kind Asked at its
// interval, the first one interval after the step began, and one at a time.
func (j *Judge) Ask(now time.Time) []Question {
	var out []Question
	for _, g := range j.signals {
		if g.Kind != Asked || g.waits {
			continue
		}
		if g.question != 0 && now.Sub(g.last) >= answerAfter {
			g.note(j.answered(g, Measurement{Outcome: Errored, Why: fmt.Sprintf("no answer for %s", answerAfter)}))
		}
		if g.question == 0 && now.Sub(g.last) >= g.Interval && (g.Count == 0 || g.taken < g.Count) {
			j.questions++
			g.question, g.last = j.questions, now
			out = append(out, Question{g.Name, g.question})
		}
	}
	return out
}

// Answer takes what a source said, or why it said nothing.
func (j *Judge) Answer(q Question, v Value, err error) {
	for _, g := range j.signals {
		if g.Kind != Asked || g.Name != q.Signal || g.question != q.Number {
			continue
		}
		m := Measurement{Outcome: Errored}
		if err == nil {
			m.Outcome, m.Why, err = g.decide(v)
		}
		if err != nil {
			m.Outcome, m.Why = Errored, err.Error()
		}
		g.note(j.answered(g, m))
	}
}

// answered keeps a measurement for the next verdict.
func (j *Judge) answered(g *gauge, m Measurement) Measurement {
	g.question = 0
	m.Signal, m.Why = g.Name, g.Name+" "+m.Why
	j.answers = append(j.answers, m)
	return m
}

// decide judges a value by the signal's conditions: with both, what is
// neither is Inconclusive.
func (g *gauge) decide(v Value) (Outcome, string, error) {
	if v.Word == "" && (math.IsNaN(v.Number) || math.IsInf(v.Number, 0)) {
		return "", "", fmt.Errorf("%s is no number to judge by: was there any traffic?", v)
	}
	good, err := g.success.holds(v)
	if err != nil {
		return "", "", err
	}
	bad, err := g.failure.holds(v)
	if err != nil {
		return "", "", err
	}
	switch {
	case g.failure.isSet() && bad:
		return Failed, fmt.Sprintf("%s, fails where %s", v, g.failure), nil
	case g.success.isSet() && good:
		return Successful, fmt.Sprintf("%s, wanted %s", v, g.success), nil
	case !g.success.isSet():
		return Successful, fmt.Sprintf("%s, fails where %s", v, g.failure), nil
	case !g.failure.isSet():
		return Failed, fmt.Sprintf("%s, wanted %s", v, g.success), nil
	}
	return Inconclusive, fmt.Sprintf("%s, wanted %s, fails where %s", v, g.success, g.failure), nil
}
