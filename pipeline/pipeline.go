// Package pipeline takes a run from end to end: build, connect, push, execute
// the engine's commands, record; and answers what is known about a service.
// cmd/shipper calls one method per verb; each returns a Result and, where it
// failed, a problem.Error that says why and what to do.
package pipeline

import (
	"context"
	"io"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/transport"
)

// Dialer opens an authenticated connection to one host of the target.
type Dialer func(ctx context.Context, h config.Host) (transport.Conn, error)

// Pipeline works on one service in one environment.
type Pipeline struct {
	Target  config.Target
	Dial    Dialer
	Emit    func(journal.Record) // the story as it happens; called from one goroutine at a time
	Version string               // of shipper
	Owner   string               // who: user@machine
	Address string               // from where
	Now     func() time.Time
}

// DeployRequest says what to deploy; Bundle empty builds HEAD of Dir.
type DeployRequest struct {
	Dir    string
	Bundle string
}

// RollbackRequest says where to go back to; To empty is the previous release.
type RollbackRequest struct{ To string }

// Result is how a verb ended; cmd/shipper turns State and the error into the exit code.
type Result struct {
	State   rollout.State
	Run     string
	Release release.Release
}

// HostStatus is one host's answer, or why there was none.
type HostStatus struct {
	Host   string
	Status rpc.ServiceStatus
	Hello  rpc.HelloReply
	Err    error
}

// FleetStatus is what all hosts say, and what follows from it.
type FleetStatus struct {
	State  rollout.State   // Running, Paused, Promoted …; Lost, Split
	Stable release.Release // zero where the hosts differ or have none
	Run    string
	Why    string
	Behind []string // hosts not on Stable
	Hosts  []HostStatus
}

// HistoryEntry is one run, as the hosts remember it.
type HistoryEntry struct {
	Started journal.Record
	Result  journal.Record // zero if the run has not told its end
}

// Verbs; the bodies are in one file each.
type verbs interface {
	Build(ctx context.Context, dir, out string) (bundle string, r release.Release, err error)
	Deploy(ctx context.Context, req DeployRequest) (Result, error)
	Rollback(ctx context.Context, req RollbackRequest) (Result, error)
	Status(ctx context.Context) (FleetStatus, error)
	History(ctx context.Context) ([]HistoryEntry, error)
	Ask(ctx context.Context, kind string) (Result, error)    // abort, pause, resume, promote, promote-full of a live run
	Resume(ctx context.Context, kind string) (Result, error) // takes a parked, lost or split run on: resume, promote, promote-full
	LockStatus(ctx context.Context) ([]HostStatus, error)
	LockAcquire(ctx context.Context, message string) error
	LockRelease(ctx context.Context) error
	Logs(ctx context.Context, w io.Writer, host string, lines int, follow bool) error
	Prune(ctx context.Context, dryRun bool) (map[string]rpc.PruneReply, error)
	Remove(ctx context.Context) error
}
