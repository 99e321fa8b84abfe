package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-shipper/shipper/problem"
)

// Problems are all that is wrong with a file, in the order of its lines.
// Each has its place and, where a person can mend it, a hint.
type Problems []*problem.Error

// Error lists all problems, one per line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, e := range p {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives each problem.
func (p Problems) Unwrap() []error {
	errs := make([]error, len(p))
	for i, e := range p {
		errs[i] = e
	}
	return errs
}

const maxProblems = 50

func (p *Problems) add(at, hint, what string) {
	known := slices.ContainsFunc(*p, func(e *problem.Error) bool { return e.At == at && e.What == what })
	if !known && len(*p) < maxProblems {
		*p = append(*p, &problem.Error{Kind: problem.Usage, What: what, At: at, Hint: hint})
	}
}

// err is nil without problems, the problem if there is one, else one problem
// around the list.
func (p Problems) err(file string) error {
	switch len(p) {
	case 0:
		return nil
	case 1:
		return p[0]
	}
	slices.SortStableFunc(p, func(a, b *problem.Error) int { return slices.Compare(lineOf(a.At), lineOf(b.At)) })
	what := fmt.Sprintf("%s has %d problems", filepath.Base(file), len(p))
	return &problem.Error{Kind: problem.Usage, What: what, Err: p}
}

// lineOf takes line and column off the end of file:line:column.
func lineOf(at string) []int {
	parts := strings.Split(at, ":")
	if len(parts) < 3 {
		return nil
	}
	line, _ := strconv.Atoi(parts[len(parts)-2]) // both are ours
	column, _ := strconv.Atoi(parts[len(parts)-1])
	return []int{line, column}
}

// later reports whether a key is known to come, so that the message can say
// so instead of guessing at a typing error.
func later(path string) bool {
	switch path {
	case "traffic.sticky", "analysis.alpha", "analysis.clientKey",
		"rollback.secrets":
		return true
	}
	return strings.HasPrefix(path, "checks[") && strings.HasSuffix(path, "].exec")
}
