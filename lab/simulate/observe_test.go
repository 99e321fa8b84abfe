package simulate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-shipper/shipper/release"
)

// ledger is what an observer has seen a guard write: who held the lock of a
// host, and how its runs went on. It lives as long as the host.
type ledger struct {
	mu      sync.Mutex
	session *sessionSeen // nil: nobody holds it
	state   stateSeen
	by      *life            // who wrote state last
	holder  map[int64]string // of each fence: run and owner
	boots   map[int64]string // in which a fence was given out
}

type sessionSeen struct {
	Run     string    `json:"run"`
	Owner   string    `json:"owner"`
	Fence   int64     `json:"fence"`
	Manual  bool      `json:"manual"`
	Boot    string    `json:"boot"`
	Expires time.Time `json:"expires"`
}

type stateSeen struct {
	Fence  int64        `json:"fence"`
	Stable release.Slot `json:"stable"`
	Run    *struct {
		ID    string       `json:"id"`
		State string       `json:"state"`
		Phase string       `json:"phase"`
		Slot  release.Slot `json:"slot"`
	} `json:"run"`
}

// reread takes for known what a loss of power has left: a write that was not
// finished may be there.
func (d *ledger) reread(h *machine) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state, d.session = stateSeen{}, nil
	dir := h.layout.Service(service)
	if s := readValue[stateSeen](filepath.Join(dir, "state.json")); s != nil {
		d.state = *s
	}
	d.session = readValue[sessionSeen](filepath.Join(dir, "session.json"))
}

// readValue reads a state file; nil: it is not there, or not whole.
func readValue[T any](path string) *T {
	var of struct {
		Value *T `json:"value"`
	}
	b, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(b, &of) != nil {
		return nil
	}
	return of.Value
}

func (s stateSeen) run() (id, phase string) {
	if s.Run == nil {
		return "", ""
	}
	return s.Run.ID, s.Run.Phase
}

func newLedger() *ledger { return &ledger{holder: map[int64]string{}, boots: map[int64]string{}} }

// observe looks at a file that the guard has just written or removed.
func (h *machine) observe(l *life, path string) {
	b, err := os.ReadFile(path)
	gone := os.IsNotExist(err)
	switch filepath.Base(path) {
	case "session.json":
		var of struct {
			Value *sessionSeen `json:"value"`
		}
		if !gone && json.Unmarshal(b, &of) != nil {
			h.world.breaks("%s: the session that was written cannot be read: %v", h.name, err)
		}
		h.seen.sessionIs(h, l, of.Value)
	case "state.json":
		var of struct {
			Value stateSeen `json:"value"`
		}
		switch {
		case gone: // the service was removed
		case json.Unmarshal(b, &of) != nil:
			h.world.breaks("%s: the state that was written cannot be read: %v", h.name, err)
		default:
			h.seen.stateIs(h, l, of.Value)
		}
	}
}

// sessionIs checks P5: a lock goes to somebody else only when it was free,
// each time with a higher fence, and no lease grows that has run out (P2).
func (d *ledger) sessionIs(h *machine, l *life, s *sessionSeen) {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := d.session
	if d.session = s; s == nil {
		return
	}
	who := s.Run + " of " + s.Owner
	known, old := d.holder[s.Fence]
	switch {
	case last != nil && last.Fence != s.Fence:
		h.world.breaks("P5: %s: run %s has the lock, which run %s of %s never gave back", h.name, who, last.Run, last.Owner)
	case old && known != who:
		h.world.breaks("P5: %s: fence %d was given to run %s and to run %s", h.name, s.Fence, known, who)
	case !old && d.highest() >= s.Fence:
		h.world.breaks("P5: %s: run %s got fence %d after %d", h.name, who, s.Fence, d.highest())
	case old && d.boots[s.Fence] != s.Boot && !s.Manual:
		h.world.breaks("P2: %s: the lease of run %s outlived the boot in which it was given", h.name, who)
	case last != nil && last.Fence == s.Fence && s.Expires.After(last.Expires) && l == d.by && !l.now().Before(last.Expires):
		h.world.breaks("P2: %s: the lease of run %s was renewed %v after it had run out", h.name, who, l.now().Sub(last.Expires))
	}
	if !old {
		d.holder[s.Fence], d.boots[s.Fence] = who, s.Boot
	}
}

func (d *ledger) highest() (most int64) {
	for fence := range d.holder {
		most = max(most, fence)
	}
	return most
}

// stateIs checks that only who holds the lock takes a run further (P5), and
// that an end is written when the router is back already (P3).
func (d *ledger) stateIs(h *machine, l *life, s stateSeen) {
	d.mu.Lock()
	last, session, same := d.state, d.session, d.by == l
	d.state, d.by = s, l
	d.mu.Unlock()
	run, phase := s.run()
	before, was := last.run()
	forward := []string{"starting", "started", "shifting", "prepared", "committed", "parked"}
	if slices.Contains(forward, phase) && (run != before || phase != was) && s.Fence == last.Fence && (session == nil || session.Run != run) {
		h.world.breaks("P5: %s: run %s went on to be %s without the lock", h.name, run, phase)
	}
	for _, other := range h.world.hosts {
		if at, stage := other.seen.now().run(); phase == "committed" && was != phase && at == run && slices.Contains(forward[:3], stage) {
			h.world.breaks("P3: %s commits run %s, which is only %s on %s", h.name, run, stage, other.name)
		}
	}
	if same && run == before && phase == "undone" && was != phase && last.Run.Slot != "" {
		if v, err := h.view(); err == nil && v.Weight > 0 && !v.Expired {
			h.world.breaks("P3: %s: run %s is undone, says the state, and its slot gets %s", h.name, run, v.Weight)
		}
	}
}

func (d *ledger) now() stateSeen {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

// undone is heard when a controller tells that it took a host back.
func (w *world) undone(h *machine, run string) {
	h.seen.mu.Lock()
	s := h.seen.session
	h.seen.mu.Unlock()
	if s == nil || s.Run != run {
		return // somebody else may be at work
	}
	if v, err := h.view(); err == nil && v.Weight > 0 && !v.Expired {
		w.breaks("P3: %s was taken back, says run %s, and its slot gets %s", h.name, run, v.Weight)
	}
}
