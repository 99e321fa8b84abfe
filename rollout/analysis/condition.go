package analysis

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Value is what a source outside the routers says at one moment: a number, or
// a word.
type Value struct {
	Number float64
	Word   string // not empty: no number
}

// ValueOf reads text as a number, else as a word.
func ValueOf(text string) (Value, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Value{}, errors.New("it says nothing")
	}
	if x, err := strconv.ParseFloat(text, 64); err == nil {
		return Value{Number: x}, nil
	}
	return Value{Word: text}, nil
}

func (v Value) String() string {
	if v.Word != "" {
		return strconv.Quote(v.Word)
	}
	return strconv.FormatFloat(v.Number, 'g', 6, 64)
}

// condition is comparisons that all must hold: `>= 99`, `> 0.5 and < 2`,
// `== ok`.
type condition struct {
	text  string
	parts []comparison
}

type comparison struct {
	operator string
	to       Value
}

// operators, those first that begin like another one.
var operators = [...]string{"<=", ">=", "==", "!=", "<", ">"}

// parseCondition reads a condition; an empty text is none.
func parseCondition(text string) (condition, error) {
	c := condition{text: strings.TrimSpace(text)}
	if c.text == "" {
		return c, nil
	}
	for _, part := range strings.Split(c.text, " and ") {
		p, err := parseComparison(strings.TrimSpace(part))
		if err != nil {
			return c, fmt.Errorf("condition %q: %w", text, err)
		}
		c.parts = append(c.parts, p)
	}
	return c, nil
}

func parseComparison(text string) (comparison, error) {
	for _, op := range operators {
		rest, ok := strings.CutPrefix(text, op)
		if !ok {
			continue
		}
		to, err := ValueOf(strings.Trim(strings.TrimSpace(rest), `"'`))
		switch {
		case err != nil:
			return comparison{}, errors.New("there is nothing to compare with")
		case to.Word == "" && (math.IsNaN(to.Number) || math.IsInf(to.Number, 0)):
			return comparison{}, errors.New("want a finite number")
		case to.Word != "" && op != "==" && op != "!=":
			return comparison{}, fmt.Errorf("%q is no number", to.Word)
		}
		return comparison{op, to}, nil
	}
	return comparison{}, errors.New("want <, <=, >, >=, == or != and a value")
}

func (c condition) isSet() bool    { return len(c.parts) > 0 }
func (c condition) String() string { return c.text }

// holds asks whether v is what the condition wants. What can not be compared
// is an error: neither good nor bad.
func (c condition) holds(v Value) (bool, error) {
	for _, p := range c.parts {
		ok, err := p.holds(v)
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func (p comparison) holds(v Value) (bool, error) {
	if v.Word != "" || p.to.Word != "" {
		if p.operator != "==" && p.operator != "!=" {
			return false, fmt.Errorf("%s is no number", v)
		}
		return (v == p.to) == (p.operator == "=="), nil
	}
	a, b := v.Number, p.to.Number
	switch p.operator {
	case "<":
		return a < b, nil
	case "<=":
		return a <= b, nil
	case ">":
		return a > b, nil
	case ">=":
		return a >= b, nil
	case "==":
		return a == b, nil
	}
	return a != b, nil
}
