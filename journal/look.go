package journal

// Look is what a host's router counted since the look before; the first one
// of a run is the zero mark. It is what a verdict can be repeated from.
type Look struct {
	Canary Counts `json:"canary"`
	Stable Counts `json:"stable"`
}

// Counts is what one slot did. Units, Failed and Share are what was drawn,
// where the router counts that.
type Counts struct {
	Requests int64         `json:"n,omitempty"`
	Errors   int64         `json:"e,omitempty"`
	Drawn    bool          `json:"drawn,omitempty"`
	Units    int64         `json:"u,omitempty"`
	Failed   int64         `json:"f,omitempty"`
	Share    int64         `json:"s,omitempty"`
	Latency  map[int]int64 `json:"t,omitempty"` // by bucket; none is left out
}

// Replayed tells how a run would have been judged at one step (analyze
// --replay).
type Replayed struct {
	Step    string  `json:"step"`
	Signal  string  `json:"signal,omitempty"`
	Outcome string  `json:"outcome"`
	Why     string  `json:"why"`
	Elapsed float64 `json:"elapsed"` // seconds since the new revision got its first traffic
}
