//go:build !linux

package lab

import (
	"context"
	"io"
	"time"

	"github.com/go-shipper/shipper/problem"
)

func errSystem() error {
	return problem.New(problem.Usage, "run it on a Linux machine", "the lab needs Linux")
}

// Lab is a running lab; there is none on this system.
type Lab struct{}

// Dir fails: the lab needs Linux.
func Dir() (string, error) { return "", errSystem() }

// Up fails: the lab needs Linux.
func Up(context.Context, Options) (*Lab, error) { return nil, errSystem() }

// Open fails: the lab needs Linux.
func Open(context.Context, string, string) (*Lab, error) { return nil, errSystem() }

// List fails: the lab needs Linux.
func List(string) ([]Summary, error) { return nil, errSystem() }

// Serve does nothing: the lab needs Linux.
func Serve() {}

// Daemon fails: the lab needs Linux.
func Daemon(context.Context, string) error { return errSystem() }

// Name is empty.
func (*Lab) Name() string { return "" }

// Hosts is empty.
func (*Lab) Hosts() []Host { return nil }

// Prefix is empty.
func (*Lab) Prefix(string) string { return "" }

// Down fails: the lab needs Linux.
func (*Lab) Down(context.Context) error { return errSystem() }

// Reboot fails: the lab needs Linux.
func (*Lab) Reboot(context.Context, string, time.Duration) error { return errSystem() }

// Exec fails: the lab needs Linux.
func (*Lab) Exec(context.Context, string, string, io.Reader, io.Writer, io.Writer) (int, error) {
	return 0, errSystem()
}

// SetFaults fails: the lab needs Linux.
func (*Lab) SetFaults(context.Context, string, Faults) error { return errSystem() }
