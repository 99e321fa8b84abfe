package journal

import "github.com/go-shipper/shipper/release"

// Forecast tells what a bad release would cost, and whether a good one gets
// through (TypeForecast).
type Forecast struct {
	Rate    float64        `json:"rate"`              // requests a second, on all hosts
	Seconds float64        `json:"seconds,omitempty"` // it was counted for so long; 0: it was given
	Errors  float64        `json:"errors"`            // share of stable's requests that fail
	Assumed bool           `json:"assumed,omitempty"` // that share is not known
	Alpha   float64        `json:"alpha,omitempty"`
	Silent  []string       `json:"silent,omitempty"` // hosts that count nothing
	Steps   []ForecastStep `json:"steps,omitempty"`
	Note    string         `json:"note,omitempty"` // why nothing can be expected
}

// ForecastStep is a step in which the new release has some of the traffic.
type ForecastStep struct {
	Batch        int            `json:"batch"`
	Step         int            `json:"step"`
	Hosts        int            `json:"hosts"`
	Weight       release.Weight `json:"weight"`
	CountsFrom   int            `json:"countsFrom,omitempty"` // evidence is judged from that step on; 0: here already
	WaitSeconds  float64        `json:"wait,omitempty"`       // at most, for a verdict
	ProofSeconds float64        `json:"proof,omitempty"`      // until a good release passes; 0: it never does
	Thin         string         `json:"thin,omitempty"`       // why the traffic does not suffice, and what would help
	Cases        []ForecastCase `json:"cases"`
}

// ForecastCase is a release of whose requests the share Errors fails.
type ForecastCase struct {
	Errors  float64 `json:"errors"`
	Seconds float64 `json:"seconds,omitempty"` // until it is found; 0: it is not, by comparison
	Failed  float64 `json:"failed,omitempty"`  // requests until then
}
