package host

import (
	"maps"
	"slices"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/release/attest"
)

// Phases of a run on this host.
const (
	phaseLocked    = "locked"   // nothing is touched
	phaseStarting  = "starting" // the idle slot is being changed
	phaseStarted   = "started"
	phaseShifting  = "shifting"
	phasePrepared  = "prepared"
	phaseCommitted = "committed"
	phaseUndone    = "undone"
	phaseParked    = "parked"
)

// States of a run, as they cross the wire.
const (
	runRunning    = "Running"
	runPaused     = "Paused"
	runPromoted   = "Promoted"
	runRolledBack = "RolledBack"
	runAborted    = "Aborted"
	runFailed     = "Failed"
	runLost       = "Lost"
)

// state is what the host remembers of a service: state.json. Stable, and
// nothing else, decides what runs after a boot.
type state struct {
	Service     string                      `json:"service"`
	Environment string                      `json:"environment"`
	Machine     string                      `json:"machine"`
	Boot        string                      `json:"boot"`
	Stable      release.Slot                `json:"stable,omitempty"`
	Slots       map[release.Slot]slotRecord `json:"slots,omitempty"`
	Ports       rpc.Ports                   `json:"ports"`   // committed
	Traffic     rpc.TrafficConfig           `json:"traffic"` // committed
	Warm        time.Time                   `json:"warm,omitzero"`
	Retained    []rpc.Retained              `json:"retained,omitempty"` // newest first
	Retain      int                         `json:"retain,omitempty"`
	Run         *runRecord                  `json:"run,omitempty"`
	Fence       int64                       `json:"fence"`
	Frozen      string                      `json:"frozen,omitempty"`
	Trust       attest.Trust                `json:"trust,omitzero"`     // whose releases may start here; no keys: everybody's
	Alone       bool                        `json:"alone,omitempty"`    // two instances must not live at the same time; committed
	Firewall    bool                        `json:"firewall,omitempty"` // there may be a rule for the public port
	// Mend says that Stable moved and its effects (start types, route, roles)
	// may not have followed yet.
	Mend  bool     `json:"mend,omitempty"`
	Notes []string `json:"notes,omitempty"`
}

// slotRecord is what was last put into a slot.
type slotRecord struct {
	Release  release.Release `json:"release"`
	Revision release.Digest  `json:"revision"`
	Port     int             `json:"port"`
}

// runRecord is the latest run.
type runRecord struct {
	rpc.RunStatus
	Slot    release.Slot      `json:"slot,omitempty"`
	Weight  release.Weight    `json:"weight,omitempty"`
	Warm    bool              `json:"warm,omitempty"`   // the slot ran before the run began and may go on
	Until   time.Time         `json:"until,omitzero"`   // parked
	Millis  int64             `json:"millis,omitempty"` // undone
	Ports   rpc.Ports         `json:"ports"`
	Traffic rpc.TrafficConfig `json:"traffic"`
	Alone   bool              `json:"alone,omitempty"` // stable is stopped while the slot runs
	Hold    time.Duration     `json:"hold,omitempty"`  // how long requests wait in between
}

// live reports whether the run may still commit, and must be undone otherwise.
func (r *runRecord) live() bool {
	return r != nil && r.State == runRunning && r.Phase != phaseCommitted
}

func (r *runRecord) parked() bool { return r != nil && r.State == runPaused && r.Phase == phaseParked }

// started reports whether the run changed a slot.
func (r *runRecord) started() bool { return r != nil && r.Slot != "" }

// running reports whether the run's slot was seen to run.
func (r *runRecord) running() bool {
	return r.live() && (r.Phase == phaseStarted || r.Phase == phaseShifting || r.Phase == phasePrepared)
}

// sessionRecord is session.json.
type sessionRecord struct {
	rpc.Session
	Expires time.Time `json:"expires,omitzero"` // wall clock; zero: manual
	Machine string    `json:"machine"`
	Boot    string    `json:"boot"`
	Asks    []rpc.Ask `json:"asks,omitempty"`
	AskSeq  int64     `json:"askSeq,omitempty"`
}

// previous is where a rollback goes: the last revision that was committed
// before the stable one and not rolled back from.
func (s *state) previous() (rpc.Retained, bool) {
	for _, r := range s.Retained {
		if !r.Rejected && r.Revision != s.Slots[s.Stable].Revision {
			return r, true
		}
	}
	return rpc.Retained{}, false
}

// retain books slot's revision as committed now.
func (s *state) retain(slot release.Slot, now time.Time) {
	rec := s.Slots[slot]
	kept := []rpc.Retained{{Revision: rec.Revision, Release: rec.Release, Committed: now}}
	for _, r := range s.Retained {
		if r.Revision != rec.Revision {
			kept = append(kept, r)
		} else {
			kept[0].Irreversible = r.Irreversible
		}
	}
	s.Retained = kept
}

// barrier is a release behind which the way to the target leads, though there
// is none: what it did can not be undone.
func (s *state) barrier(target rpc.Retained) (rpc.Retained, bool) {
	for _, r := range s.Retained {
		switch {
		case r.Revision == target.Revision:
			return rpc.Retained{}, false
		case r.Irreversible && !r.Rejected:
			return r, true
		}
	}
	return rpc.Retained{}, false
}

func (s *state) reject(revision release.Digest) {
	for i := range s.Retained {
		if s.Retained[i].Revision == revision {
			s.Retained[i].Rejected = true
		}
	}
}

// maxNotes bounds what a host says about its own trouble.
const maxNotes = 20

func (s *state) note(text string) {
	s.Notes = append(s.Notes, text)
	if n := len(s.Notes); n > maxNotes {
		s.Notes = s.Notes[n-maxNotes:]
	}
}

// slotPort is the port of slot among ports.
func slotPort(p rpc.Ports, slot release.Slot) int {
	if slot == release.Green {
		return p.Green
	}
	return p.Blue
}

// clone is a copy that shares nothing with s that changes.
func (s state) clone() state {
	s.Slots = maps.Clone(s.Slots)
	s.Retained = slices.Clone(s.Retained)
	s.Notes = slices.Clone(s.Notes)
	if s.Run != nil {
		run := *s.Run
		s.Run = &run
	}
	return s
}
