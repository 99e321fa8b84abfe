package journal

import (
	"time"

	"github.com/go-shipper/shipper/release"
)

// Provenance is where a bundle came from.
type Provenance struct {
	Commit    string `json:"commit,omitempty"`
	Builder   string `json:"builder,omitempty"`
	Toolchain string `json:"toolchain,omitempty"`
	Signed    bool   `json:"signed,omitempty"`
}

// Report is one run as it is read afterwards (TypeReport).
type Report struct {
	RunStarted
	Run        string        `json:"run"`
	Started    time.Time     `json:"started"`
	Ended      time.Time     `json:"ended,omitzero"` // of the last that was told
	State      string        `json:"state"`          // empty: nobody told its end
	Exit       int           `json:"exit"`
	Error      string        `json:"error,omitempty"`
	Hint       string        `json:"hint,omitempty"`
	Steps      []ReportStep  `json:"steps,omitempty"`
	Judgements []Judgement   `json:"judgements,omitempty"`
	Said       []ReportNote  `json:"said,omitempty"` // requests, warnings, overridings, hooks
	HostEnds   []ReportHost  `json:"hostEnds"`
	Pushed     []ReportBytes `json:"pushed,omitempty"`
}

// ReportStep is when which step of which batch began.
type ReportStep struct {
	Time time.Time `json:"time"`
	StepBegan
}

// Judgement is a verdict, or the last measurement of a signal in a step.
type Judgement struct {
	Time   time.Time `json:"time"`
	Signal string    `json:"signal,omitempty"`
	Step   string    `json:"step,omitempty"`
	Verdict
	Canary *Arm `json:"canary,omitempty"`
	Stable *Arm `json:"stable,omitempty"`
}

// ReportNote is what somebody or something said.
type ReportNote struct {
	Time time.Time `json:"time"`
	Kind string    `json:"kind"` // asked | warning | hook | paused
	Host string    `json:"host,omitempty"`
	Text string    `json:"text"`
}

// ReportHost is how the run ended on one host.
type ReportHost struct {
	Host    string          `json:"host"`
	Batch   int             `json:"batch,omitempty"` // of several
	End     string          `json:"end"`             // committed | undone | not touched
	Release release.Release `json:"release"`         // that it had then
	Slot    release.Slot    `json:"slot,omitempty"`
	By      string          `json:"by,omitempty"` // of undone: controller | guard | operator
	Why     string          `json:"why,omitempty"`
	Millis  int64           `json:"millis,omitempty"`
	Autopsy string          `json:"autopsy,omitempty"`
}

// ReportBytes is what a push cost.
type ReportBytes struct {
	Host string `json:"host"`
	Push
}
