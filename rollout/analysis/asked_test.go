package analysis

import (
	"errors"
	"math"
	"testing"
	"time"
)

func limit(n int) *int { return &n }

// ask lets one interval pass and answers what is asked.
func (b *bench) ask(answers ...any) *bench {
	for _, a := range answers {
		b.now = b.now.Add(10 * time.Second)
		for _, q := range b.Ask(b.now) {
			switch a := a.(type) {
			case error:
				b.Answer(q, Value{}, a)
			case float64:
				b.Answer(q, Value{Number: a}, nil)
			case string:
				b.Answer(q, Value{Word: a}, nil)
			}
		}
	}
	return b
}

func TestAsked(t *testing.T) {
	t.Parallel()
	down := errors.New("ask prometheus:9090: connection refused")
	signal := Signal{Name: "rate", Kind: Asked, Success: ">= 99", Interval: 10 * time.Second, FailureLimit: 1,
		InconclusiveLimit: limit(1), ErrorLimit: limit(2)}
	both := signal
	both.Failure = "< 95"
	counted := signal
	counted.Count = 2
	word := signal
	word.Success, word.Failure, word.FailureLimit = "", "!= ok", 0
	for name, c := range map[string]struct {
		signal  Signal
		answers []any
		want    Outcome
		why     string
		over    bool
	}{
		"silence":                 {signal, nil, Inconclusive, "rate is not measured yet", false},
		"content":                 {signal, []any{99.5}, Successful, "rate 99.5, wanted >= 99", false},
		"one failure is borne":    {signal, []any{90.0}, Inconclusive, "rate 90, wanted >= 99 (failed measurement 1, 1 tolerated)", false},
		"two are not":             {signal, []any{90.0, 99.9, 91.0}, Failed, "rate 91, wanted >= 99 (failed measurement 2, 1 tolerated)", false},
		"an error is no success":  {signal, []any{99.9, down}, Errored, "rate ask prometheus:9090: connection refused", false},
		"errors in a row":         {signal, []any{down, down, down}, Errored, "refused (error 3 in a row, 2 tolerated)", true},
		"errors between":          {signal, []any{down, down, 99.9, down, down}, Errored, "connection refused", false},
		"no number":               {signal, []any{math.NaN()}, Errored, "was there any traffic?", false},
		"a word for a number":     {signal, []any{"fine"}, Errored, `"fine" is no number`, false},
		"neither":                 {both, []any{97.0}, Inconclusive, "rate 97, wanted >= 99, fails where < 95", false},
		"neither, too often":      {both, []any{97.0, 99.0, 97.0}, Inconclusive, "(inconclusive measurement 2, 1 tolerated)", true},
		"failed by both":          {both, []any{90.0, 90.0}, Failed, "rate 90, fails where < 95", false},
		"not enough":              {counted, []any{99.0}, Inconclusive, "(measurement 1 of 2)", false},
		"enough":                  {counted, []any{99.0, 99.0, 1.0, 1.0}, Successful, "rate 99", false},
		"a good word":             {word, []any{"ok"}, Successful, `rate "ok", fails where != ok`, false},
		"a bad word":              {word, []any{"broken"}, Failed, `rate "broken", fails where != ok`, false},
		"a number for a bad word": {word, []any{1.0}, Failed, "rate 1, fails where != ok", false},
	} {
		if err := c.signal.Validate(); err != nil {
			t.Fatal(err)
		}
		v := newBench([]Signal{c.signal}, "a").ask(c.answers...).verdict()
		want(t, v, c.want, c.why)
		taken := len(c.answers)
		if c.signal.Count > 0 {
			taken = min(taken, c.signal.Count)
		}
		if v.Over != c.over || len(v.Measured) != taken {
			t.Errorf("%s: over %v, %d measurements", name, v.Over, len(v.Measured))
		}
	}
}

// An answer to an earlier step says nothing about this one, and a source that
// never answers is an error in the end.
func TestAskedLate(t *testing.T) {
	t.Parallel()
	b := newBench([]Signal{{Name: "rate", Kind: Asked, Success: "> 0", Interval: 10 * time.Second}}, "a")
	b.now = b.now.Add(10 * time.Second)
	old := b.Ask(b.now)
	if len(old) != 1 || len(b.Ask(b.now)) != 0 {
		t.Fatalf("asked %v", old)
	}
	b.Begin(b.now, 5000)
	b.Answer(old[0], Value{Number: 1}, nil)
	want(t, b.verdict(), Inconclusive, "not measured yet")
	b.now = b.now.Add(10 * time.Second)
	if len(b.Ask(b.now)) != 1 {
		t.Fatal("the new step asks nothing")
	}
	b.now = b.now.Add(answerAfter)
	if len(b.Ask(b.now)) != 1 {
		t.Fatal("it is not asked again")
	}
	want(t, b.verdict(), Errored, "no answer for 2m0s")
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for text, holds := range map[string]bool{
		"< 2": true, "<= 1": true, "<1": false, ">= 1": true, "> 1": false, "== 1": true, "!= 1": false,
		"> 0.5 and < 2": true, "> 0.5 and < 1": false, `== "ok"`: false, "!= ok": true,
	} {
		c, err := parseCondition(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.holds(Value{Number: 1}); err != nil || got != holds {
			t.Errorf("1 %s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"1", "=> 1", "< x", "> 1 and", "> 1 or < 2", "< NaN", "> inf", "==", "> 1 and ok"} {
		if _, err := parseCondition(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
