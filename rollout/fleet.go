package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-shipper/shipper/release"
)

// HostView is what one host says about the service, as far as decisions
// about the fleet need it.
type HostView struct {
	Host     string
	Err      error           // why the host did not answer; nothing else counts then
	Stable   release.Release // zero: none
	Revision release.Digest  // of stable
	Idle     release.Digest  // revision in the other slot, if its process runs: it can be flipped to
	Run      RunView         // the latest run; zero ID: none
	Alive    bool            // a controller holds the session
	Retained []Kept          // revisions the host still has, the current one too, in any order
}

// RunView is how the latest run stands on a host.
type RunView struct {
	ID        string
	Verb      string
	State     State // Lost: the host itself went back, its controller was gone
	Committed bool  // this host made the run's release stable
	Release   release.Release
	Why       string
	Behind    []string // hosts that the run left behind, or that owe a way back
	Since     time.Time
}

// Kept is a revision a host can go back to.
type Kept struct {
	Revision  release.Digest
	Release   release.Release
	Committed time.Time // zero: never committed
	Rejected  bool      // it was rolled back from: a target by --to only

	Irreversible bool // what was committed before it is no way back
}

// FleetView is the state of the fleet and what follows from it.
type FleetView struct {
	State  State           // empty: no host knows a run
	Run    string          // the run that State is about
	Verb   string          // of that run
	Stable release.Release // what the fleet is meant to run; zero: nothing
	Behind []string        // hosts that run something else, or did not answer
	Left   []string        // of them: known to be behind, whether they answer or not
	Reason map[string]string
	Why    string
}

// Fleet puts together what the hosts say. A run that some hosts committed and
// others did not is Split; one that says it runs but has no controller is
// Lost; a host that went back by its lease does not change how its run ended.
func Fleet(hosts []HostView) FleetView {
	run := latestRun(hosts)
	f := FleetView{Run: run}
	var told []HostView
	for _, h := range hosts {
		if h.Err == nil && run != "" && h.Run.ID == run {
			told = append(told, h)
		}
	}
	if len(told) > 0 {
		f.Verb = told[0].Run.Verb
	}
	left := leftBehind(told)
	f.State, f.Why = fleetState(told, left)
	f.Stable, f.Reason = reference(hosts, f, left), map[string]string{}
	for _, h := range hosts {
		why := behind(h, f, slices.Contains(left, h.Host))
		if why == "" {
			continue
		}
		f.Behind, f.Reason[h.Host] = append(f.Behind, h.Host), why
		if h.Err == nil || slices.Contains(left, h.Host) {
			f.Left = append(f.Left, h.Host)
		}
	}
	return f
}

// behind says why a host is not where the fleet is; empty: it is. left: the
// latest run ended without it.
func behind(h HostView, f FleetView, left bool) string {
	switch {
	case h.Err != nil && left:
		return "left behind by run " + f.Run + ", does not answer"
	case h.Err != nil:
		return "does not answer"
	case h.Stable != f.Stable && h.Stable.IsZero():
		return "has no release"
	case h.Stable != f.Stable && left && f.wentBack():
		return fmt.Sprintf("owes the rollback to %s: still runs %s", f.Stable.Version, h.Stable.Version)
	case h.Stable != f.Stable:
		return "runs " + h.Stable.Version
	case left && h.Run.ID == f.Run && (h.Run.State == Running || h.Alive):
		return "owes a rollback: goes back when its lease ends"
	}
	return ""
}

// wentBack reports whether the fleet was taken back by the verb.
func (f FleetView) wentBack() bool { return f.Verb == "rollback" && f.State == RolledBack }

// leftBehind are the hosts that the run's own hosts name.
func leftBehind(told []HostView) []string {
	var out []string
	for _, h := range told {
		for _, name := range h.Run.Behind {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// latestRun is the run that began last on any host.
func latestRun(hosts []HostView) string {
	var latest RunView
	for _, h := range hosts {
		if h.Err == nil && h.Run.ID != "" && (latest.ID == "" || h.Run.Since.After(latest.Since)) {
			latest = h.Run
		}
	}
	return latest.ID
}

// fleetState is how a run stands, told by the hosts that know it: not by those
// that it went on without.
func fleetState(all []HostView, left []string) (State, string) {
	var told []HostView
	for _, h := range all {
		if !slices.Contains(left, h.Host) {
			told = append(told, h)
		}
	}
	if len(told) == 0 {
		if told = all; len(told) == 0 {
			return "", ""
		}
	}
	if h, ok := find(told, func(h HostView) bool { return h.Alive }); ok {
		if h.Run.State == Paused {
			return Paused, h.Run.Why
		}
		return Running, h.Run.Why
	}
	if done, open := split(told); len(done) > 0 {
		if len(open) > 0 {
			return Split, fmt.Sprintf("committed on %s, not on %s", strings.Join(done, ", "), strings.Join(open, ", "))
		}
		if h, ok := find(told, HostView.wentBack); ok {
			return RolledBack, h.Run.Why
		}
		return Promoted, told[0].Run.Why
	}
	for _, s := range []State{Running, Split, Paused, Failed, RolledBack, Aborted, Lost} {
		if h, ok := find(told, func(h HostView) bool { return h.Run.State == s }); ok {
			return ended(s, h, all)
		}
	}
	return told[0].Run.State, told[0].Run.Why
}

// wentBack reports whether a rollback ended here as it should.
func (h HostView) wentBack() bool { return h.Run.Verb == "rollback" && h.Run.State == RolledBack }

// ended turns a state that hosts recorded into the fleet's.
func ended(s State, h HostView, told []HostView) (State, string) {
	if s == Running || s == Split {
		return Lost, "the controller of the run is gone; the hosts go back when their leases end"
	}
	var alone []string
	for _, t := range told {
		if s != Lost && t.Run.State == Lost {
			alone = append(alone, t.Host)
		}
	}
	why := h.Run.Why
	if len(alone) > 0 {
		why += "; by its own lease: " + strings.Join(alone, ", ")
	}
	return s, why
}

// split sorts hosts by whether they committed the run. A rollback only ends on
// the hosts of a split run that never left the release it goes back to.
func split(told []HostView) (done, open []string) {
	for _, h := range told {
		switch {
		case h.Run.Committed:
			done = append(done, h.Host)
		case h.wentBack():
		default:
			open = append(open, h.Host)
		}
	}
	return done, open
}

// reference is the release the fleet is meant to run: the one that was
// promoted or gone back to, else the one that most hosts run which the latest
// run did not leave behind; where that is a tie, the one committed last.
func reference(hosts []HostView, f FleetView, left []string) release.Release {
	if f.State == Promoted || f.State == RolledBack {
		if h, ok := find(hosts, func(h HostView) bool { return h.Err == nil && h.Run.ID == f.Run && h.Run.Committed }); ok {
			return h.Run.Release
		}
		if h, ok := find(hosts, func(h HostView) bool { return h.Err == nil && h.Run.ID == f.Run && f.wentBack() && h.wentBack() }); ok {
			return h.Stable
		}
	}
	count := map[release.Release]int{}
	latest := map[release.Release]time.Time{}
	var best release.Release
	for _, h := range hosts {
		if h.Err == nil && !h.Stable.IsZero() && !slices.Contains(left, h.Host) {
			count[h.Stable]++
			if at := currentOf(h).Committed; at.After(latest[h.Stable]) {
				latest[h.Stable] = at
			}
		}
	}
	for _, h := range hosts {
		n, most := count[h.Stable], count[best]
		if h.Err == nil && (n > most || n == most && n > 0 && latest[h.Stable].After(latest[best])) {
			best = h.Stable
		}
	}
	silent := func(h HostView) bool { return h.Err != nil }
	if best.IsZero() && len(left) > 0 && !slices.ContainsFunc(hosts, silent) {
		return reference(hosts, f, nil) // all were left behind, and nobody else can know better
	}
	return best
}

func find(hosts []HostView, is func(HostView) bool) (HostView, bool) {
	if i := slices.IndexFunc(hosts, is); i >= 0 {
		return hosts[i], true
	}
	return HostView{}, false
}
