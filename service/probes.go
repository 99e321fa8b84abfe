package service

import (
	"encoding/json"
	"net/http"
	"time"
)

// Report is what the probes answer, as JSON.
type Report struct {
	Status  string        `json:"status"`           // "ok", "degraded" or "unavailable"
	State   State         `json:"state"`            // where it is in its life,
	Since   time.Time     `json:"since,omitzero"`   // since when,
	Reason  string        `json:"reason,omitempty"` // and why
	Paused  bool          `json:"paused,omitempty"` // holds new work
	Service string        `json:"service"`          // its name
	Version string        `json:"version"`          // of what runs
	Slot    string        `json:"slot,omitempty"`   // "blue" or "green" under shipper
	Role    Role          `json:"role"`             // as it was read last
	Checks  []CheckResult `json:"checks,omitempty"` // in the order in which they were added
}

// Report tells how the service is.
func (s *Service) Report() Report {
	t := s.State()
	role, _ := s.roles.current()
	r := Report{Status: "ok", State: t.To, Since: t.At, Reason: t.Reason, Paused: s.Paused(), Service: s.o.name,
		Version: s.o.version, Slot: s.o.slot, Role: role, Checks: s.health.results()}
	switch {
	case t.To != Running && t.To != Degraded, s.Alive() != nil, s.health.unready():
		r.Status = "unavailable"
	case t.To == Degraded:
		r.Status = "degraded"
	}
	return r
}

// Healthy reports whether /healthz answers 200: the service works, if perhaps
// degraded, is alive, and no check that counts as [Unready] fails.
func (s *Service) Healthy() bool { return s.Report().Status != "unavailable" }

// ReadyForWork reports whether /readyz answers 200: healthy, and not paused.
func (s *Service) ReadyForWork() bool { return s.Healthy() && !s.Paused() }

// Handler answers GET and HEAD of /livez, /readyz and /healthz itself and
// counts the requests in flight that it gives to next:
//
//	/livez    200 while the process need not be restarted ([WithLiveness])
//	/readyz   200 while it may be given work
//	/healthz  200 while it works, degraded included
//
// Each answers 503 else, and always with a [Report]. nil for next is
// http.DefaultServeMux.
func (s *Service) Handler(next http.Handler) http.Handler {
	if next == nil {
		next = http.DefaultServeMux
	}
	probes := map[string]func() bool{
		"/livez":   func() bool { return s.Alive() == nil },
		"/readyz":  s.ReadyForWork,
		"/healthz": s.Healthy,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if good := probes[r.URL.Path]; good != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			s.answerProbe(w, good())
			return
		}
		s.inFlight.Add(1)
		defer s.inFlight.Add(-1)
		next.ServeHTTP(w, r)
	})
}

func (s *Service) answerProbe(w http.ResponseWriter, good bool) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !good {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(s.Report()) // the one who asked may be gone
}
