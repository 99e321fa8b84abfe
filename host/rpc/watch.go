package rpc

import "time"

// Watch says how a router looks after the instances of a service, and what it
// tells about them. Zero: nothing of it.
type Watch struct {
	Health    Health        `json:"health,omitzero"`
	Outlier   Outlier       `json:"outlier,omitzero"`
	SlowStart time.Duration `json:"slowStart,omitempty"` // until a fresh canary has its whole weight
	ClientKey ClientKey     `json:"clientKey,omitzero"`
	AccessLog AccessLog     `json:"accessLog,omitzero"`
	Metrics   string        `json:"metrics,omitempty"` // host:port where Prometheus finds the counters
	Preview   string        `json:"preview,omitempty"` // host:port at which only the new release answers
}

// Health are active checks of the slots that have a role. With neither HTTP
// nor TCP there are none.
type Health struct {
	HTTP     string        `json:"http,omitempty"` // path; 2xx and 3xx are good
	TCP      bool          `json:"tcp,omitempty"`
	Interval time.Duration `json:"interval,omitempty"` // 0: 5 s
	Timeout  time.Duration `json:"timeout,omitempty"`  // 0: 2 s
	Rise     int           `json:"rise,omitempty"`     // good ones in a row that bring a slot back; 0: 2
	Fall     int           `json:"fall,omitempty"`     // bad ones in a row that take it out; 0: 3
}

// Outlier takes a canary out of use for a while when its answers are failures
// in a row. No Failures: never.
type Outlier struct {
	Failures int           `json:"failures,omitempty"` // in a row: no connection, no answer, or 5xx
	Window   time.Duration `json:"window,omitempty"`   // in which they come; 0: 10 s
	Eject    time.Duration `json:"eject,omitempty"`    // at first, doubled each time; 0: 10 s
	MaxEject time.Duration `json:"maxEject,omitempty"` // 0: 5 min
}

// ClientKey tells clients apart where errors are counted once per client: by
// a cookie, else a header, else by their address.
type ClientKey struct {
	Cookie string `json:"cookie,omitempty"`
	Header string `json:"header,omitempty"`
}

// AccessLog is one JSON object per request, in files beside the router's state.
type AccessLog struct {
	On       bool          `json:"on,omitempty"`
	MaxBytes int64         `json:"maxBytes,omitempty"` // of one file; 0: 50 MB
	MaxAge   time.Duration `json:"maxAge,omitempty"`   // of one file; 0: 24 h
	Keep     int           `json:"keep,omitempty"`     // files beside the current one; 0: 7
}

// Checks reports whether there are active checks at all.
func (h Health) Checks() bool { return h.HTTP != "" || h.TCP }
