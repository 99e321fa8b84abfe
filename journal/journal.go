// Package journal is the append-only record of a run. Everything that tells
// about a run (terminal, JSON lines, job summary, status, history) reads
// these records; nothing keeps a second copy of the truth.
package journal

import (
	"encoding/json"
	"time"
)

// Version is the `v` of every record; readers keep fields they do not know.
const Version = 1

// Record is one line of the journal and one line of `--json`.
type Record struct {
	V    int             `json:"v"`
	Seq  int64           `json:"seq"`
	Time time.Time       `json:"time"`
	Run  string          `json:"run"`
	Type string          `json:"type"`
	Host string          `json:"host,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Types of records, in the order in which a run tells them. The ones marked
// "shown" are for readers at the moment and are never stored on hosts.
const (
	TypeRunStarted   = "run.started"   // RunStarted
	TypeBuild        = "build"         // Build
	TypeShelved      = "bundle.pushed" // Shelved (shown)
	TypePromotion    = "promotion"     // Promotion
	TypeHost         = "host"          // HostInfo: connected, helper installed
	TypeSession      = "session"       // Note: lock taken, released, lost
	TypeDelta        = "delta"         // Delta: made once, for all hosts with the same base
	TypePush         = "push"          // Push
	TypeStarted      = "slot.started"  // SlotStarted
	TypeSmoke        = "smoke"         // Smoke
	TypeWeight       = "weight"        // WeightSet
	TypeStep         = "step"          // StepBegan
	TypeMeasurement  = "measurement"   // Measurement
	TypeLook         = "look"          // Look
	TypeReplayed     = "replayed"      // Replayed
	TypeVerdict      = "verdict"       // Verdict
	TypeRequest      = "request"       // Request of a person or another process
	TypePaused       = "paused"        // Note
	TypePrepared     = "prepared"      // Note
	TypeCommitted    = "committed"     // Committed
	TypeUndone       = "undone"        // Undone
	TypeWarning      = "warning"       // Note
	TypeHook         = "hook"          // Note: what was told at which stage
	TypeProgress     = "progress"      // Progress (shown)
	TypeServiceState = "service.state" // report of status: ServiceState (shown)
	TypeRun          = "run"           // report of history: RunSummary (shown)
	TypeTravel       = "travel"        // report of plan: Travel (shown)
	TypeForecast     = "forecast"      // report of plan: Forecast (shown)
	TypeReport       = "report"        // report of report: Report (shown)
	TypeWayBack      = "way.back"      // report of rollback --check: WayBack (shown)
	TypePlan         = "plan"          // report of plan --out: Plan (shown)
	TypePruned       = "pruned"        // report of prune: Pruned (shown)
	TypeChecked      = "checked"       // report of validate: Checked (shown)
	TypeFinding      = "finding"       // report of doctor: Finding (shown)
	TypeKey          = "key"           // report of keygen: Key (shown)
	TypeVerified     = "verified"      // report of verify, verify-build: Verified (shown)
	TypeVersion      = "version"       // report of version: Program (shown)
	TypeLog          = "log"           // Note: a line of a service's log (shown)
	TypeResult       = "result"        // Result: the last record of every run and of every verb
)
