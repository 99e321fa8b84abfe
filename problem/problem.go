// Package problem is the one error type that reaches people: what failed,
// why, and the exact thing to do about it. The kind decides the exit code,
// which is mapped in cmd/shipper only.
package problem

import (
	"errors"
	"fmt"
)

// Kind sorts problems by what the caller can do about them.
type Kind int

// Kinds, in the order of docs/cli: each has one exit code.
const (
	Failed       Kind = iota // the work failed; state as reported
	Usage                    // wrong usage or configuration; nothing touched
	RolledBack               // a forward verb ended on the old revision
	Paused                   // waits for a person
	Aborted                  // a person stopped it
	Locked                   // another run holds the lock
	Unreachable              // host unreachable or access denied; nothing changed
	Verification             // a digest or signature is wrong
	Behind                   // some host is not on the reported release
)

// Error is a problem with its remedy. What is lower case and names operation
// and noun ("connect to web1"); Err says why; Hint is one sentence that the
// user can act on, or empty; At is file:line:column, where there is one.
type Error struct {
	Kind Kind
	What string
	At   string
	Hint string
	Err  error
}

func (e *Error) Error() string {
	s := e.What
	if e.At != "" {
		s = e.At + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }

// New returns a problem of kind k; what and why are formatted.
func New(k Kind, hint, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: k, What: err.Error(), Hint: hint, Err: nil}
}

// Wrap says what was being done when err happened.
func Wrap(k Kind, err error, what, hint string) *Error {
	return &Error{Kind: k, What: what, Hint: hint, Err: err}
}

// KindOf finds the kind of the outermost problem in err's chain; Failed if none.
func KindOf(err error) Kind {
	var p *Error
	if errors.As(err, &p) {
		return p.Kind
	}
	return Failed
}

// HintOf finds the first hint in err's chain.
func HintOf(err error) string {
	var p *Error
	for errors.As(err, &p) {
		if p.Hint != "" {
			return p.Hint
		}
		err = p.Err
		p = nil
	}
	return ""
}
