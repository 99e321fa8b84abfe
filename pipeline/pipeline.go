// Package pipeline takes a run from end to end: build, connect, push, execute
// the engine's commands, record; and answers what is known about a service.
// cmd/shipper calls one method per verb; each returns a Result and, where it
// failed, a problem.Error that says why and what to do.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/transport"
)

// Dialer opens an authenticated connection to one host of the target.
type Dialer func(ctx context.Context, h config.Host) (transport.Conn, error)

// Bridge places the program on a host that serves there and returns the
// command line that starts it. Without install it changes nothing and returns
// ErrBare where the program is missing.
type Bridge func(ctx context.Context, conn transport.Conn, h config.Host, install bool) (line string, err error)

// ErrBare says that shipper has never been on a host.
var ErrBare = errors.New("no shipper on this host")

// Pipeline works on one service in one environment.
type Pipeline struct {
	Target  config.Target
	Dial    Dialer
	Logon   func() error // is there all that Dial will need? It makes no connection; nil: nothing is needed
	Bridge  Bridge
	Brought Brought // nil: routers are not upgraded
	Leave   Leaver
	Clinic  Clinic               // of Doctor
	Emit    func(journal.Record) // the story as it happens; called from one goroutine at a time
	Version string               // of shipper
	Owner   string               // who: user@machine
	Address string               // from where
	Now     func() time.Time
	Change  string                  // that allows a paused run to go on outside of the change windows
	Before  *Pipeline               // of the environment that releases must have been through
	Exit    func(Result, error) int // the exit code that the journal records
	Plain   bool                    // contents travel as they are, not compressed
	Single  bool                    // by one stream, however far away a host is
	Shelf   packaging.Shelf         // where bundles lie; nil: the folder that builds go to
	Cache   string                  // folder of what was pushed before; empty: nothing is kept
	Grace   time.Duration           // in which an interrupted run may still undo; 0: graceAfterSignal

	built string // the bundle of HEAD, once it was made
	bulk  bulk
	enc   encodings
}

// DeployRequest says what to deploy: the file Bundle, or the highest version
// on the shelf that Release allows; with neither, HEAD of Dir is built.
type DeployRequest struct {
	Dir            string
	Bundle         string
	Release        string // semver constraint
	AllowDowngrade bool   // to a version below the one that is stable
	Change         string // that allows it outside of the change windows
	Irreversible   bool   // there is no way back behind this release
	Hotfix         bool   // stable is what burns: ends a deploy that is under way, and takes the hotfix steps
	Plan           string // file of a plan, which is applied exactly or refused
	Record         bool   // of plan: make the file as well
	Expect         *Expect
}

// Expect asks a plan for a forecast: by Rate requests a second, or by what
// the hosts count meanwhile.
type Expect struct {
	Rate  float64 // 0: it is counted
	Count time.Duration
}

// Planned is what a deploy would do.
type Planned struct {
	Release release.Release
	Travel  map[string]journal.Travel // by host
	File    *PlanFile                 // if it was asked for
	Expect  *journal.Forecast         // if it was asked for
}

// RollbackRequest says where to go back to; To empty is the previous release.
type RollbackRequest struct {
	To       string
	Override string // a person's reason to go back behind a release that is irreversible

	verdict string // of who watched
}

// Result is how a verb ended; cmd/shipper turns State and the error into the exit code.
type Result struct {
	State   rollout.State
	Run     string
	Release release.Release
	Behind  []string // hosts that are not on Release, and were left there
	Freeze  string   // why no other run may begin until a person has decided
}

// HostStatus is one host's answer, or why there was none.
type HostStatus struct {
	Host   string
	Status rpc.ServiceStatus
	Hello  rpc.HelloReply
	Err    error
	Drift  []rpc.Drift // what others changed there; of Examine
	Blind  string      // why that is not known
}

// FleetStatus is what all hosts say, and what follows from it.
type FleetStatus struct {
	State  rollout.State   // Running, Paused, Promoted …; Lost, Split
	Stable release.Release // zero where the hosts differ or have none
	Run    string
	Verb   string // of Run
	Why    string
	Behind []string // hosts not on Stable
	Left   []string // of them: known to be behind, whether they answer or not
	Reason map[string]string
	Hosts  []HostStatus
}

// Lagging lists hosts that are behind, each with the reason.
func (st FleetStatus) Lagging(names []string) string {
	var out []string
	for _, name := range names {
		out = append(out, fmt.Sprintf("%s (%s)", name, st.Reason[name]))
	}
	return strings.Join(out, ", ")
}

// HistoryEntry is one run, as the hosts remember it.
type HistoryEntry struct {
	Started journal.Record
	Result  journal.Record // zero if the run has not told its end
}
