// Package rollout decides how a run proceeds over the fleet. It is pure:
// Step takes the time and an event and returns commands; it knows neither
// WinRM, HTTP, Windows nor a clock, and imports release only. pipeline
// executes the commands and feeds the events.
//
// What pipeline guarantees:
//   - Begin comes first and once. Events come one at a time; now never goes back.
//   - Each of start, smoke, shift, prepare, commit, undo, park is answered by
//     exactly one Done that carries the Command as it was given, also when the
//     host was reported lost meanwhile. Dones of different hosts come in any order.
//   - Commands of one host are executed in the order given, one after another.
//     An undo or park cancels the command under way on that host; its Done
//     (with an error) still comes. So a shift can never overtake an undo.
//   - Between watch and unwatch, Counted comes about once a second per host.
//   - Tick comes at the time of each wake and otherwise about once a second.
//   - HostLost comes once per host, when reconnecting was given up.
//
// What the engine guarantees:
//   - At most one command is under way per host; only undo and park come on
//     top of another. A command that is repeated has a new Seq.
//   - Shift above 0 only after that host's smoke passed; never upwards after a
//     failed verdict. Prepare only when every host is at 100 %, commit only
//     when every host is prepared.
//   - After the first commit there is no undo but of hosts that were left
//     behind before; every host that was started is in the end committed,
//     undone or parked, or named in Why and Behind as left to its lease.
//   - Exactly one finish, as the last command; after it Step returns nothing.
//     There is no unwatch before it: whoever sees finish stops watching.
package rollout

import (
	"time"

	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout/analysis"
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

// Strategies.
const (
	Canary    = "canary"
	BlueGreen = "blue-green"
	Rolling   = "rolling"  // host by host, each at once to 100 %
	Recreate  = "recreate" // the same, and the old instance is stopped before the new one starts
)

// What to do where the data does not suffice.
const (
	OnInsufficientPause   = "pause"
	OnInsufficientExtend  = "extend"
	OnInsufficientFail    = "fail"
	OnInsufficientPromote = "promoteWithoutEvidence"
)

// How much goes back when a run fails.
const (
	ScopeFleet = "fleet"
	ScopeBatch = "batch"
	ScopeHost  = "host"
)

// What a failure means while a person may still decide.
const (
	OnFailureRollback = "rollback"
	OnFailurePause    = "pause"  // the weights stay, the run waits
	OnFailureFreeze   = "freeze" // all traffic to stable, the new slots run on, and no other run may begin
)

// Words of judgement, which analysis defines.
type (
	Outcome  = analysis.Outcome
	Signal   = analysis.Signal
	Counts   = analysis.Counts
	Instance = analysis.Instance
	Usage    = analysis.Usage
	Limits   = analysis.Limits
	Arm      = analysis.Arm
	Value    = analysis.Value
)

// Outcomes.
const (
	Successful   = analysis.Successful
	FailedSignal = analysis.Failed
	Inconclusive = analysis.Inconclusive
	Errored      = analysis.Errored
)

// Plan is what a run is to do.
type Plan struct {
	Strategy         string          // canary | blue-green | rolling | recreate
	Batches          [][]string      // host names; the hosts of a batch step together; blue-green takes all at once
	Steps            []Step          // of the first batch
	LaterSteps       []Step          // of the others; nil: the last weight below 100 and one analysis
	First            map[string]bool // hosts without a stable slot: they skip steps and join last
	MaxParallel      int             // hosts of a batch that are started and smoked at a time; 0: all
	MaxUnavailable   int             // hosts that rolling and recreate change at a time; 0: one
	Budget           int             // hosts that may fail before they have traffic, or be lost, and are left behind
	Spare            int             // of them, hosts that may be lost beyond the budget
	Bake             time.Duration   // canary at 95, stable at 5, in every batch; 0: none
	ProgressDeadline time.Duration   // without progress the run fails; 0: none
	SettleTime       time.Duration   // how long at most a step waits for enough requests
	Signals          []Signal
	Limits           Limits   // on what a canary uses of its host
	MinRequests      int64    // of the canary, per step, before a signal can pass; 0: analysis.DefaultMinRequests
	OnInsufficient   string   // pause | extend | fail | promoteWithoutEvidence; empty: pause
	NoEvidence       bool     // nothing is judged and nothing to be proven: a way back
	Permits          bool     // ask before each batch but the first whether it may begin
	OnFailure        string   // rollback | pause | freeze; empty: rollback
	Scope            string   // fleet | batch | host; empty: fleet
	From             Position // takes a parked run on from here; zero: from the beginning
}

// Position names a step, both numbers from 1 as in StepNote. A run that
// resumes starts and smokes the hosts again, gives earlier batches 100 %,
// restores the weight that held before the step, and enters it. To go on
// behind a step (promote) name the next one; for promote-full ask for it any
// time after Begin.
type Position struct{ Batch, Step int }

// Step is exactly one of setWeight, pause, analysis. A timed pause, like the
// bake, ends by time and then waits until the signals, if there are any, are
// conclusive: silence is not success.
type Step struct {
	SetWeight *release.Weight
	Pause     *time.Duration // 0: until promoted
	Analysis  bool           // wait until the signals have a conclusive verdict
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
	// Counted brings a fresh look at the counters of a host. A look that
	// failed is not sent: the engine notices the silence.
	Counted struct {
		Host           string
		Epoch          string
		Canary, Stable Counts
		Live           Instance // the canary's
		Usage          *Usage   // the canary's; nil: the host does not tell
	}
	// Measured answers a Measure command: the value, or why there is none.
	Measured struct {
		Signal string
		Seq    int // of the command
		Value  Value
		Err    error
	}
	// HostLost says that a host cannot be reached any more, or that its
	// session was refused.
	HostLost struct {
		Host string
		Err  error
	}
	// Asked is a request of a person or of another process. By may be empty.
	Asked struct{ Kind, By string } // pause | resume | promote | promote-full | abort
	// Tick says that time passed.
	Tick struct{}
	// Interrupted is the controller's own end: Ctrl-C, SIGTERM. It parks a
	// paused run and aborts any other; inside the commit round it is too late.
	Interrupted struct{ Why string }
)

func (Begin) event()       {}
func (Done) event()        {}
func (Counted) event()     {}
func (Measured) event()    {}
func (HostLost) event()    {}
func (Asked) event()       {}
func (Tick) event()        {}
func (Interrupted) event() {}

// Kinds of Asked.
const (
	AskPause       = "pause"        // hold the current weight
	AskResume      = "resume"       // end a pause that was asked for; judge anew where data was missing
	AskPromote     = "promote"      // end the current step
	AskPromoteFull = "promote-full" // skip to 100 %, prepare, commit; smoke checks stay
	AskAbort       = "abort"        // everything back
)

// Verb names what a command asks for.
type Verb string

// Verbs of commands.
const (
	Start   Verb = "start"   // configure and start the idle slot on Host
	Smoke   Verb = "smoke"   // run all smoke checks on Host
	Shift   Verb = "shift"   // give the new slot Weight on Host
	Prepare Verb = "prepare" // Host promises that it can commit
	Commit  Verb = "commit"  // Host makes the new slot stable; repeated where it failed
	Undo    Verb = "undo"    // Host goes back to stable; State and Why say how the run ends there
	Park    Verb = "park"    // Host keeps the new slot running at weight 0 and frees the lock
	Watch   Verb = "watch"   // feed Counted events of Host from now on
	Unwatch Verb = "unwatch" // Host went back or was parked: no more Counted
	Measure Verb = "measure" // ask the source of Signal, which no host is; answered by Measured
	Permit  Verb = "permit"  // may Hosts, the next batch, begin? Answered by Done; an error parks the run
	Wake    Verb = "wake"    // send a Tick at At
	Note    Verb = "note"    // write Note into the journal
	Finish  Verb = "finish"  // the run is over: State, Why; nothing else follows
)

// Command is what the engine wants done. Commands of one Step may be executed
// side by side; each of start … park is answered by exactly one Done. Seq
// tells equal commands apart.
type Command struct {
	Verb   Verb
	Seq    int
	Host   string
	Hosts  []string // of permit
	Signal string
	Weight release.Weight
	State  State
	Why    string
	Behind []string // of commit: hosts that were left behind; of finish: also those that did not do what they were told
	Freeze bool     // of park: the lock stays; of finish: and is a freeze
	At     time.Time
	Note   any // StepNote, MeasurementNote, VerdictNote, PauseNote, WarningNote
}

// Notes the engine wants in the journal; pipeline turns them into records.
type (
	// StepNote tells which step begins. Steps count the plan's steps, the
	// bake and the shift to 100 %.
	StepNote struct {
		Batch, Batches, Step, Steps int
		What                        string
		Hosts                       []string // of the batch, where it begins and is one of several
	}
	// MeasurementNote tells one judged look at a signal.
	MeasurementNote struct {
		Signal         string
		Canary, Stable Arm
		Outcome        Outcome
		Why            string
	}
	// VerdictNote ends a judgement. Evidence is "none" where a step was
	// passed without any.
	VerdictNote struct {
		Outcome   Outcome
		Signal    string
		Why, Step string        // Step is "2/4", with batches "batch 1/3 step 2/4"
		Elapsed   time.Duration // since the new revision got its first traffic, else since Begin
		Evidence  string
	}
	// PauseNote tells that the run waits for a person, and for what.
	PauseNote struct{ Why string }
	// WarningNote tells something that a person should know.
	WarningNote struct{ Text string }
)
