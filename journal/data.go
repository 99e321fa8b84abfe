package journal

import (
	"time"

	"github.com/go-shipper/shipper/release"
)

// RunStarted opens a run.
type RunStarted struct {
	Verb        string          `json:"verb"`
	Service     string          `json:"service"`
	Environment string          `json:"environment"`
	Owner       string          `json:"owner"`
	Address     string          `json:"address,omitempty"`
	Release     release.Release `json:"release"`
	Strategy    string          `json:"strategy,omitempty"`
	Hosts       []string        `json:"hosts,omitempty"`
	Version     string          `json:"shipper,omitempty"`
	Settings    release.Digest  `json:"settings,omitempty"` // of all that the run goes by, beside the revision
	Hotfix      bool            `json:"hotfix,omitempty"`
	Provenance  *Provenance     `json:"provenance,omitempty"`
	Retries     string          `json:"retries,omitempty"` // the run that it goes on with

	Irreversible bool `json:"irreversible,omitempty"` // there is no way back behind this release
}

// Shelved tells that a bundle lies where others find it.
type Shelved struct {
	Bundle  string `json:"bundle"`
	Already bool   `json:"already,omitempty"` // since an earlier push
}

// Promotion is the proof that a release has been through another environment:
// how long the hosts there had it as stable.
type Promotion struct {
	Environment string          `json:"environment"`
	Release     release.Release `json:"release"`
	Hosts       []string        `json:"hosts"`
	Since       time.Time       `json:"since"`   // of the host that had it for the shortest time
	Seconds     float64         `json:"seconds"` // that it was stable there
}

// Build tells which builder made which executables.
type Build struct {
	Builder string         `json:"builder"`
	Version string         `json:"version"`
	Commit  string         `json:"commit,omitempty"`
	Targets []string       `json:"targets,omitempty"`
	Bundle  string         `json:"bundle,omitempty"`
	Digest  release.Digest `json:"digest,omitempty"`
	Bytes   int64          `json:"bytes,omitempty"`
	Seconds float64        `json:"seconds"`
}

// HostInfo tells what answered on the other side.
type HostInfo struct {
	Hostname string `json:"hostname,omitempty"`
	OS       string `json:"os,omitempty"`
	Arch     string `json:"arch,omitempty"`
	Helper   string `json:"helper,omitempty"`
	Action   string `json:"action"` // connected | bootstrapped | lost
}

// Push tells what a push cost.
type Push struct {
	Files   int     `json:"files"`
	Sent    int     `json:"sent"`             // files that had to travel
	Bytes   int64   `json:"bytes"`            // size of the release
	Deltas  int     `json:"deltas,omitempty"` // of them as what differs from an older version
	Wire    int64   `json:"wire"`             // payload bytes that travelled
	Seconds float64 `json:"seconds"`
	Install float64 `json:"install,omitempty"` // of the seconds: until the release was assembled and verified
	Pulled  int     `json:"pulled,omitempty"`  // contents that the host fetched itself
	Fetched int64   `json:"fetched,omitempty"` // bytes of them on that way
}

// Delta tells of a file that travels as what differs from an older version.
type Delta struct {
	Path    string          `json:"path"`
	Base    release.Release `json:"base"` // the release of the older version
	Bytes   int64           `json:"bytes"`
	Size    int64           `json:"size"` // of the file
	Seconds float64         `json:"seconds"`
}

// SlotStarted tells where the new revision runs.
type SlotStarted struct {
	Slot     release.Slot    `json:"slot"`
	Release  release.Release `json:"release"`
	Revision release.Digest  `json:"revision"`
	PID      uint32          `json:"pid,omitempty"`
	Port     int             `json:"port,omitempty"`
}

// Smoke is the outcome of one check.
type Smoke struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// WeightSet tells the share of the new slot after it was set and read back.
type WeightSet struct {
	Weight release.Weight `json:"weight"`
	Slot   release.Slot   `json:"slot"`
}

// StepBegan tells which step of which batch begins.
type StepBegan struct {
	Batch   int    `json:"batch"` // from 1
	Batches int    `json:"batches"`
	Step    int    `json:"step"` // from 1
	Steps   int    `json:"steps"`
	What    string `json:"what"` // "setWeight 5%", "pause 30s", "bake 5m", "analysis"

	Hosts []string `json:"hosts,omitempty"` // of the batch, with its first step
}

// Arm is one side of a measurement.
type Arm struct {
	Requests int64   `json:"requests"`
	Errors   int64   `json:"errors"`
	Ratio    float64 `json:"ratio"`
	P50ms    float64 `json:"p50ms,omitempty"`
	P99ms    float64 `json:"p99ms,omitempty"`
}

// Measurement is one judged look at a signal.
type Measurement struct {
	Signal  string `json:"signal"`
	Canary  Arm    `json:"canary"`
	Stable  Arm    `json:"stable"`
	Outcome string `json:"outcome"` // Successful | Failed | Inconclusive | Error
	Why     string `json:"why"`     // value, rule, sample sizes
}

// Verdict ends the judgement of a step or of the run.
type Verdict struct {
	Outcome  string  `json:"outcome"`
	Signal   string  `json:"signal,omitempty"`
	Why      string  `json:"why"`
	Step     string  `json:"step,omitempty"`
	Elapsed  float64 `json:"elapsed"` // seconds since the new revision got its first traffic
	Evidence string  `json:"evidence,omitempty"`
}

// Request is what a person or another process asked of a run.
type Request struct {
	Kind string `json:"kind"` // pause | resume | promote | promote-full | abort
	By   string `json:"by,omitempty"`
}

// Note carries one sentence.
type Note struct {
	Text string `json:"text"`
}

// Committed tells what a host runs from now on.
type Committed struct {
	Slot     release.Slot    `json:"slot"`
	Release  release.Release `json:"release"`
	Revision release.Digest  `json:"revision"`
}

// Undone tells that a host is back on stable.
type Undone struct {
	By      string          `json:"by"` // controller | guard | operator
	Why     string          `json:"why"`
	Release release.Release `json:"release"` // what the host runs now; zero: nothing
	Millis  int64           `json:"millis,omitempty"`
	Autopsy string          `json:"autopsy,omitempty"` // folder on the host of what is kept of the release that failed
}

// Progress is a moving bar: of a build, a push, a pause.
type Progress struct {
	What  string `json:"what"`
	Done  int64  `json:"done"`
	Total int64  `json:"total"`
}

// Result is the last record of every verb.
type Result struct {
	Verb    string          `json:"verb"`
	State   string          `json:"state"` // Running, Paused, Promoted, RolledBack, Aborted, Failed, Lost, Split
	Exit    int             `json:"exit"`
	Run     string          `json:"run"`
	Release release.Release `json:"release"`
	Error   string          `json:"error"`
	Hint    string          `json:"hint"`
}
