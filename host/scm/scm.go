// Package scm is the service manager as shipper needs it: Windows' own
// (windows.go) and one that runs plain processes for tests, simulation and
// other systems (process.go). RunService is the other side: what a service's
// own program does.
package scm

import (
	"context"
	"errors"
	"time"
)

// Errors callers decide on.
var (
	ErrNotFound = errors.New("service does not exist")
	ErrDenied   = errors.New("access denied")
)

// StartType says when a service starts by itself.
type StartType string

// Start types. Only committed slots, guard and router are automatic.
const (
	Auto     StartType = "auto"
	Manual   StartType = "manual"
	Disabled StartType = "disabled"
)

// Spec describes a service. Executable is absolute and gets quoted.
type Spec struct {
	Name, DisplayName, Description string
	Executable                     string
	Args                           []string
	Env                            []string // NAME=value, of native services; never secrets
	Dir                            string   // working directory, where the manager has one
	Account                        string   // "" LocalSystem; `NT SERVICE\NAME` …
	Start                          StartType
	DependsOn                      []string
	Recovery                       []time.Duration // restart after; empty: none
	ResetPeriod                    time.Duration
	KeepsNoRecovery                bool          // told by managers that have none, never asked for
	StopTimeout                    time.Duration // how long a stop may take
	PreshutdownTimeout             time.Duration // 0: not accepted
}

// State of a service.
type State string

// States, the service manager's own.
const (
	Absent       State = "absent"
	Stopped      State = "stopped"
	StartPending State = "start_pending"
	StopPending  State = "stop_pending"
	Running      State = "running"
	Paused       State = "paused"
)

// Status is one look at a service.
type Status struct {
	State   State
	PID     uint32
	Started time.Time // creation time of the process, zero if there is none
	Exit    uint32    // exit code of the last run (service specific, if it gave one)
}

// Manager creates and drives services. All calls are idempotent.
type Manager interface {
	// Ensure creates the service, or reconfigures it in place; it never
	// deletes and creates anew, and never restarts it.
	Ensure(ctx context.Context, s Spec) error
	// Start returns when the service runs, or with a StartError. A plain
	// process runs as soon as it exists: there its end shows by Status only.
	Start(ctx context.Context, name string) error
	// Stop returns when the service is stopped AND its process is gone; after
	// timeout the process tree is killed.
	Stop(ctx context.Context, name string, timeout time.Duration) error
	// Status never fails for an unknown service: State is Absent.
	Status(ctx context.Context, name string) (Status, error)
	// Delete removes a stopped service and waits until its name is free.
	Delete(ctx context.Context, name string) error
	// List names the services whose name begins with prefix.
	List(ctx context.Context, prefix string) ([]string, error)
	// Spec reads a service's configuration back, as far as shipper sets it.
	Spec(ctx context.Context, name string) (Spec, error)
	// Owns reports whether a process that listens on port, at a loopback or
	// wildcard address, belongs to the service: its process or a descendant.
	Owns(ctx context.Context, name string, port int) (bool, error)
}
