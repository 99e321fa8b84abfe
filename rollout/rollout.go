// Package rollout decides how a run proceeds over the fleet. It is pure:
// Step takes the time and an event and returns commands; it knows neither
// WinRM, HTTP, Windows nor a clock, and imports release only. pipeline
// executes the commands and feeds the events.
package rollout

import (
	"time"

	"github.com/go-shipper/shipper/release"
)

// State is how a run stands or ended.
type State string

// States, as `--json` and `status` name them.
const (
	Running    State = "Running"
	Paused     State = "Paused"
	Promoted   State = "Promoted"
	RolledBack State = "RolledBack"
	Aborted    State = "Aborted"
	Failed     State = "Failed"
	Lost       State = "Lost"
	Split      State = "Split"
)

// Outcome of a judgement. The four are different things.
type Outcome string

// Outcomes.
const (
	Successful   Outcome = "Successful"
	FailedSignal Outcome = "Failed"
	Inconclusive Outcome = "Inconclusive"
	Errored      Outcome = "Error"
)

// Plan is what a run is to do.
type Plan struct {
	Strategy         string          // canary | blue-green
	Batches          [][]string      // host names; the hosts of a batch step together
	Steps            []Step          // of the first batch
	LaterSteps       []Step          // of the others; nil: the last weight below 100 and one analysis
	First            map[string]bool // hosts without a stable slot: they skip steps and join last
	Bake             time.Duration   // canary at 95, stable at 5; 0: none
	ProgressDeadline time.Duration   // without progress the run fails; 0: none
	SettleTime       time.Duration   // how long at most a step waits for enough requests
	Signals          []Signal
	MinRequests      int64  // of the canary, per step, before a signal can pass
	OnInsufficient   string // pause | extend | fail | promoteWithoutEvidence
	NoRollback       bool   // rollback.auto: false: freeze instead of going back
	Scope            string // fleet | batch | host
}

// Step is one of setWeight, pause, analysis.
type Step struct {
	SetWeight *release.Weight
	Pause     *time.Duration // 0: until promoted
	Analysis  bool           // wait until the signals have a conclusive verdict
}

// Signal judges canary against limits from the routers' counters, pooled
// over the hosts of a batch.
type Signal struct {
	Name         string
	Kind         string        // errors | latency
	MaxRatio     float64       // errors: canary's ratio may not exceed this …
	MaxDelta     float64       // … nor stable's ratio plus this
	Percentile   float64       // latency: 0.99
	MaxLatency   time.Duration // latency: absolute limit, 0: none
	MaxFactor    float64       // latency: canary ≤ stable × this, 0: none
	Interval     time.Duration
	FailureLimit int // failed measurements tolerated
	MinRequests  int64
	DryRun       bool
}

// Event tells the engine what happened.
type Event interface{ event() }

// Events.
type (
	// Begin starts the run: locks are held and the release is on all hosts.
	Begin struct{}
	// Done ends a command on a host; Err says why it failed.
	Done struct {
		Command Command
		Err     error
	}
	// Counted brings a fresh look at the counters of a host.
	Counted struct {
		Host           string
		Epoch          string
		Canary, Stable Counts
		Live           Instance // the canary's
	}
	// HostLost says that a host cannot be reached any more, or that its
	// session was refused.
	HostLost struct {
		Host string
		Err  error
	}
	// Asked is a request of a person or of another process.
	Asked struct{ Kind, By string } // pause | resume | promote | promote-full | abort
	// Tick says that time passed.
	Tick struct{}
	// Interrupted is the controller's own end: Ctrl-C, SIGTERM.
	Interrupted struct{ Why string }
)

func (Begin) event()       {}
func (Done) event()        {}
func (Counted) event()     {}
func (HostLost) event()    {}
func (Asked) event()       {}
func (Tick) event()        {}
func (Interrupted) event() {}

// Counts are totals of one slot; the engine takes differences. Latency has
// the router's log-linear buckets, whose upper bounds are LatencyBounds.
type Counts struct {
	Requests, Errors int64
	Latency          []int64
}

// Instance identifies the running process of a canary: any change is a failure.
type Instance struct {
	State   string
	PID     uint32
	Started time.Time
}

// Verb names what a command asks for.
type Verb string

// Verbs of commands.
const (
	Start   Verb = "start"   // configure and start the idle slot on Host
	Smoke   Verb = "smoke"   // run all smoke checks on Host
	Shift   Verb = "shift"   // give the new slot Weight on Host
	Prepare Verb = "prepare" // Host promises that it can commit
	Commit  Verb = "commit"  // Host makes the new slot stable
	Undo    Verb = "undo"    // Host goes back to stable; State and Why say how the run ends there
	Park    Verb = "park"    // Host keeps the new slot running at weight 0 and frees the lock
	Watch   Verb = "watch"   // feed Counted events of Host from now on
	Unwatch Verb = "unwatch"
	Wake    Verb = "wake"   // send a Tick at At
	Note    Verb = "note"   // write Note into the journal
	Finish  Verb = "finish" // the run is over: State, Why; nothing else follows
)

// Command is what the engine wants done. Commands of one Step may be executed
// side by side; each of start … park is answered by exactly one Done.
type Command struct {
	Verb   Verb
	Host   string
	Weight release.Weight
	State  State
	Why    string
	At     time.Time
	Note   any // StepNote, MeasurementNote, VerdictNote, PauseNote
}

// Notes the engine wants in the journal; pipeline turns them into records.
type (
	// StepNote tells which step begins.
	StepNote struct {
		Batch, Batches, Step, Steps int
		What                        string
	}
	// MeasurementNote tells one judged look at a signal.
	MeasurementNote struct {
		Signal         string
		Canary, Stable Arm
		Outcome        Outcome
		Why            string
	}
	// VerdictNote ends a judgement.
	VerdictNote struct {
		Outcome   Outcome
		Signal    string
		Why, Step string
		Elapsed   time.Duration
		Evidence  string
	}
	// PauseNote tells that the run waits, and for what.
	PauseNote struct{ Why string }
)

// Arm is one side of a measurement.
type Arm struct {
	Requests, Errors int64
	Ratio            float64
	P50, P99         time.Duration
}
