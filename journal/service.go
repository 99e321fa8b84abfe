package journal

import (
	"time"

	"github.com/go-shipper/shipper/release"
)

// ServiceState is what one host says about a service (TypeServiceState), or
// why it says nothing. Its keys are those of the guard's own answer.
type ServiceState struct {
	Known       bool                       `json:"known"` // false: nothing of it there
	Environment string                     `json:"environment,omitempty"`
	Stable      release.Slot               `json:"stable,omitempty"`
	Slots       map[release.Slot]SlotState `json:"slots,omitempty"`
	Traffic     *Traffic                   `json:"traffic,omitempty"`
	Session     *Session                   `json:"session,omitempty"`
	Run         *RunState                  `json:"run,omitempty"` // the latest
	Retained    []Kept                     `json:"retained,omitempty"`
	WarmSeconds float64                    `json:"warmSeconds,omitempty"` // the idle slot stays warm
	Behind      bool                       `json:"behind,omitempty"`      // not on the release of the others
	BehindWhy   string                     `json:"behindWhy,omitempty"`
	Drift       []Drift                    `json:"drift,omitempty"`    // what somebody else has changed
	DriftWhy    string                     `json:"driftWhy,omitempty"` // why that is not known
	Frozen      string                     `json:"frozen,omitempty"`
	Notes       []string                   `json:"notes,omitempty"`
	Error       string                     `json:"error,omitempty"`
}

// Drift is one thing on a host that is not as it was recorded.
type Drift struct {
	Slot release.Slot `json:"slot,omitempty"` // empty: of the service as a whole
	What string       `json:"what"`
	Want string       `json:"want"`
	Have string       `json:"have"`
}

// SlotState is one slot as it is.
type SlotState struct {
	Release  release.Release `json:"release"`
	Revision release.Digest  `json:"revision,omitempty"`
	Port     int             `json:"port,omitempty"`
	Live     Live            `json:"live"`
}

// Live is the service manager's view of a slot.
type Live struct {
	State string `json:"state"` // running, stopped, …
	PID   uint32 `json:"pid,omitempty"`
}

// Traffic is what the router really does.
type Traffic struct {
	Weights map[release.Slot]release.Weight `json:"weights"`
	Leased  bool                            `json:"leased"` // ends by itself
}

// Session says who works on the service: the lock.
type Session struct {
	Run              string    `json:"run,omitempty"`
	Verb             string    `json:"verb,omitempty"`
	Owner            string    `json:"owner"`
	Address          string    `json:"address,omitempty"`
	Since            time.Time `json:"since"`
	RemainingSeconds float64   `json:"remainingSeconds,omitempty"` // of the lease
	Message          string    `json:"message,omitempty"`
	Manual           bool      `json:"manual,omitempty"` // held until released
}

// RunState is how the latest run stands on a host.
type RunState struct {
	ID      string          `json:"id"`
	Verb    string          `json:"verb"`
	State   string          `json:"state"`
	Phase   string          `json:"phase,omitempty"`
	Release release.Release `json:"release"`
	Why     string          `json:"why,omitempty"`
	Since   time.Time       `json:"since"`
}

// Kept is a revision that a host can still go back to.
type Kept struct {
	Release   release.Release `json:"release"`
	Revision  release.Digest  `json:"revision"`
	Committed time.Time       `json:"committed"`
	Rejected  bool            `json:"rejected,omitempty"`
}

// RunSummary is one run as history tells it (TypeRun). State is empty for a
// run that has not told its end.
type RunSummary struct {
	Run         string          `json:"run"`
	Verb        string          `json:"verb"`
	Environment string          `json:"environment,omitempty"`
	Owner       string          `json:"owner"`
	Release     release.Release `json:"release"`
	Started     time.Time       `json:"started"`
	Ended       time.Time       `json:"ended"`
	State       string          `json:"state,omitempty"`
	Exit        int             `json:"exit"`
	Why         string          `json:"why,omitempty"`
}

// Travel tells what a deploy would send to a host (TypeTravel).
type Travel struct {
	Files  int   `json:"files"`
	Sent   int   `json:"sent"` // files that the host does not have
	Deltas int   `json:"deltas,omitempty"`
	Bytes  int64 `json:"bytes"`          // payload, to the byte
	Size   int64 `json:"size"`           // of the release
	Bare   bool  `json:"bare,omitempty"` // the helper would travel, too
	// Port is the public one where another program, Owner, listens there.
	Port  int    `json:"port,omitempty"`
	Owner string `json:"owner,omitempty"`
	// Drift is what somebody else has changed, and the deploy would put right.
	Drift []Drift `json:"drift,omitempty"`
}

// WayBack tells what a rollback would do on a host, and whether it can (TypeWayBack).
type WayBack struct {
	Move        string          `json:"move,omitempty"` // stay | end | flip | start
	Release     release.Release `json:"release"`
	Revision    release.Digest  `json:"revision,omitempty"`
	WarmSeconds float64         `json:"warmSeconds,omitempty"` // for which it is a flip yet
	Intact      bool            `json:"intact"`                // every digest was compared, on the host
	Started     bool            `json:"started"`               // it did, and listened
	StartMillis int64           `json:"startMillis,omitempty"`
	NotStarted  string          `json:"notStarted,omitempty"` // why it was not tried
	Checks      []Smoke         `json:"checks,omitempty"`
	Problem     string          `json:"problem,omitempty"` // why it would not succeed
}

// Plan tells of a plan that was written to a file (TypePlan).
type Plan struct {
	File    string          `json:"file"`
	Release release.Release `json:"release"`
	Hosts   int             `json:"hosts"`
}

// Pruned tells what a prune removed from a host (TypePruned).
type Pruned struct {
	Removed []string `json:"removed"`
	Kept    []string `json:"kept"`
	Bytes   int64    `json:"bytes"`
	DryRun  bool     `json:"dryRun,omitempty"`
}

// Checked tells what one environment of a valid configuration says (TypeChecked).
type Checked struct {
	Environment string   `json:"environment"`
	Service     string   `json:"service"`
	Listen      string   `json:"listen,omitempty"`
	Strategy    string   `json:"strategy"`
	Steps       []string `json:"steps,omitempty"`
	Hosts       []string `json:"hosts"`
	Transport   string   `json:"transport"`
}

// Program says what a shipper was built from (TypeVersion).
type Program struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Finding is one check of a host (TypeFinding).
type Finding struct {
	Check  string `json:"check"`
	State  string `json:"state"` // ok | warning | problem | unknown
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}
