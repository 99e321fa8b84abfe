// Package transport is a pipe to a host. It knows bytes and command lines,
// not services. Each way to reach a host is a package below.
package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Conn is an open, authenticated way to one host. Safe for concurrent use.
type Conn interface {
	// Run executes one short command line as the remote shell would
	// (cmd.exe on Windows) and returns when it ended. stdin may be nil.
	Run(ctx context.Context, line string, stdin io.Reader) (Result, error)
	// Pipe starts a long-lived program and connects its stdin and stdout.
	// ctx bounds the start only; the program runs until Close.
	Pipe(ctx context.Context, line string) (Pipe, error)
	// Close ends all that was started over the connection and frees the
	// host's resources, within a deadline of its own.
	Close() error
}

// Result is what a command left behind. Exit is the 32-bit exit code.
type Result struct {
	Exit           int
	Stdout, Stderr []byte
}

// Pipe carries whole messages to a program and a byte stream back. One Write
// arrives in order and whole, but may arrive twice when the wire timed out
// after delivery: what travels must carry sequence numbers (host/rpc does).
//
// Read ends with io.EOF when the program ended with exit code 0, and with
// *Exited when with another. Close ends the program and what it started.
type Pipe interface {
	io.ReadWriteCloser
	// MaxWrite is the largest Write that travels in one piece, in bytes. A
	// host may refuse one that is shorter than it said: then MaxWrite shrinks,
	// and of the Write that failed nothing has arrived.
	MaxWrite() int
}

// Laner is a Pipe whose wire takes one message at a time: on a long way most
// of the time is spent waiting. Lanes use that time.
type Laner interface {
	// Lane starts line once more, for input only: what it says is never
	// read. It ends with its Close, or with the pipe. Where the host's limits
	// allow no more the error is of kind Quota.
	Lane(ctx context.Context, line string) (Lane, error)
	// Delay is how long the way there and back takes.
	Delay() time.Duration
}

// Lane takes input as a Pipe does.
type Lane interface {
	io.WriteCloser
	MaxWrite() int
}

// Quotas are a host's limits for one account, where a way has any; 0 is
// unknown.
type Quotas struct {
	EnvelopeKB int // of one message
	Shells     int
	Operations int
	Processes  int // in a shell
	MemoryMB   int // of a shell
}

// Symptom is what can be seen of a host that does not let us in.
type Symptom struct {
	What   string
	Detail string
	Hint   string // empty: nothing is wrong with this
}

// Kind sorts failures by what a caller can do.
type Kind int

// Kinds of transport errors.
const (
	Broken      Kind = iota // the exchange failed half-way; ask again
	Unreachable             // no connection: refused, no route, silent
	Denied                  // credentials or rights
	Certificate             // the host's certificate is not trusted
	Quota                   // the host's limits
	Gone                    // shell or command no longer exists there
)

// Error is a failed exchange with a host.
type Error struct {
	Kind  Kind
	Host  string
	Phase string // dial, identify, authenticate, create, command, send, receive, signal, delete
	Code  uint32 // WSMan or Win32 code, 0 if none
	Hint  string
	Err   error
}

func (e *Error) Error() string {
	if e.Code != 0 {
		return fmt.Sprintf("%s: %s: code %d: %v", e.Host, e.Phase, e.Code, e.Err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Host, e.Phase, e.Err)
}

// Unwrap gives the reason.
func (e *Error) Unwrap() error { return e.Err }

// Exited is the end of a program behind a Pipe that did not end well.
type Exited struct {
	Code   int
	Stderr []byte // the last 4 KiB
}

func (e *Exited) Error() string {
	return strings.TrimSpace(fmt.Sprintf("program ended with exit code %d: %s", e.Code, bytes.TrimSpace(e.Stderr)))
}
