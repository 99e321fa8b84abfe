// Package analysis is the arithmetic of judgement: is the canary worse than
// its limits allow, and is there enough data to say so. It takes looks at the
// routers' counters, pools them over hosts, and gives verdicts that explain
// themselves. It knows no steps, no hosts' commands and no clock; rollout does
// the sequencing.
package analysis

import "time"

// Outcome of a judgement. The four are different things.
type Outcome string

// Outcomes. Error means that the data could not be had, Inconclusive that
// there is too little of it to say anything; neither is ever a success.
const (
	Successful   Outcome = "Successful"
	Failed       Outcome = "Failed"
	Inconclusive Outcome = "Inconclusive"
	Errored      Outcome = "Error"
)

// Kinds of signals. Errors and Latency are thresholds; Evidence compares the
// two arms and needs none. Asked gets its values from outside and judges them
// by conditions.
const (
	Errors   = "errors"
	Latency  = "latency"
	Evidence = "evidence"
	Asked    = "asked"
)

// DefaultMinRequests of the canary are needed before a signal can pass or fail.
const DefaultMinRequests = 50

// Signal judges canary against limits from the routers' counters, pooled
// over the hosts of a batch. A limit of 0 is none; a threshold needs one, and
// Evidence has defaults for all.
type Signal struct {
	Name      string
	Kind      string  // errors | latency | evidence
	Alpha     float64 // evidence: chance of a false abort in the whole run; 0: defaultAlpha
	Margin    float64 // evidence: this times stable's error ratio is as good; 0: defaultMargin
	Tolerance float64 // evidence: slower by this share is as good; 0: defaultTolerance
	MaxRatio  float64 // evidence: a step passes when canary's error ratio is shown to be below this; 0: defaultMaxErrors
	// errors: canary's ratio may not exceed this …
	MaxDelta     float64       // … nor stable's ratio plus this
	Percentile   float64       // latency: 0.99
	MaxLatency   time.Duration // latency: absolute limit, 0: none
	MaxFactor    float64       // latency: canary ≤ stable × this, 0: none
	Interval     time.Duration // between measurements; 0: every look
	FailureLimit int           // failed measurements tolerated; of no meaning to evidence
	// InconclusiveLimit and ErrorLimit (in a row) are how many such measurements
	// are tolerated before waiting ends; nil: any number.
	InconclusiveLimit, ErrorLimit *int
	Count                         int    // asked: measurements after which it is content; 0: it never ends
	Success, Failure              string // asked: conditions, one of them at least
	MinRequests                   int64  // of the canary; 0: the plan's, else DefaultMinRequests
	DryRun                        bool   // measured and noted, decides nothing
	StartingStep                  int    // it begins to count with this step, from 0
}

// Counts are totals of one slot since the look's epoch; the judge takes
// differences. Requests are finished ones: whoever fills this subtracts those
// in flight, because a request that hangs is not yet a good one. Latency has
// the router's log-linear buckets, whose upper bounds are
// release.LatencyBound.
type Counts struct {
	Requests, Errors int64
	Latency          []int64

	// Drawn says that the router counts what it drew apart. Units and
	// UnitErrors are independent of each other where requests are not: of
	// clients that stick to their slot, and without what nobody drew. Share
	// is the canary's expected part of all units, in basis points each.
	Drawn                    bool
	Units, UnitErrors, Share int64

	Out string // why the router gives the slot nothing now; empty: it does
}

// Instance identifies the running process of a canary: any change is a
// failure. State is the service manager's ("running", "stopped" …); empty
// means that nobody could say.
type Instance struct {
	State   string
	PID     uint32
	Started time.Time
	Exit    uint32 // exit code, once it has stopped
}

// Look is one fresh look at a host.
type Look struct {
	Epoch          string // changes when the counters start anew
	Canary, Stable Counts
	Live           Instance // the canary's
}

// Arm is one side of a measurement.
type Arm struct {
	Requests, Errors int64
	Ratio            float64 // errors / requests, 0 without requests
	P50, P99         time.Duration
}

// Measurement is one judged look at a signal.
type Measurement struct {
	Signal         string
	Canary, Stable Arm
	Outcome        Outcome
	Why            string // value, rule, sample sizes
}

// Verdict is what the measurements say together: Failed as soon as one signal
// failed more often than it may, Successful only if the latest measurement of
// every signal is.
type Verdict struct {
	Outcome  Outcome
	Signal   string // the one that decided
	Why      string
	Over     bool          // not conclusive, and more than a limit tolerates: waiting is of no use
	Requests int64         // of the canary, in the window
	Measured []Measurement // those that this call took
}
