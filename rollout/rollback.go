package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/go-shipper/shipper/release"
)

// Move is what a rollback does on one host.
type Move string

// Moves.
const (
	Stay      Move = "stay"  // the host is where it should be
	End       Move = "end"   // end the run that is left over; stable is not touched
	Flip      Move = "flip"  // the old slot still runs: smoke checks and a weight
	StartCold Move = "start" // start the old revision, smoke, flip
)

// Decision is what `rollback` has to do. Exit other than 0 refuses: nothing
// is done, Why and Hint are for people.
type Decision struct {
	Exit      int
	Why, Hint string
	Moves     map[string]HostMove // by host
	Target    release.Release     // what the fleet runs afterwards
}

// HostMove is one host's part.
type HostMove struct {
	Move     Move
	Revision release.Digest // to go to; of flip and start
	Release  release.Release
	Rejects  release.Digest // the revision that is left as a bad one; of flip and start
}

// DecideRollback decides what `rollback [--to]` does, by the state the fleet
// is in. to is empty, a version, or the beginning of a revision (at least 6
// characters).
func DecideRollback(hosts []HostView, to string) Decision {
	if len(hosts) == 0 {
		return refuse(1, "", "no hosts")
	}
	for _, h := range hosts {
		if h.Err != nil {
			return refuse(7, "make the host reachable, or run `shipper-host rollback` on the others", "%s: %v", h.Host, h.Err)
		}
	}
	fleet := Fleet(hosts)
	if h, ok := find(hosts, func(h HostView) bool { return h.Alive }); ok {
		return refuse(6, "shipper abort", "run %s is alive on %s", h.Run.ID, h.Host)
	}
	switch fleet.State {
	case Paused, Lost:
		return endRun(hosts, fleet)
	case Split:
		if fleet.Verb == "rollback" {
			return finishBack(hosts, fleet)
		}
		return endSplit(hosts, fleet)
	}
	return goBack(hosts, to)
}

func refuse(exit int, hint, format string, args ...any) Decision {
	return Decision{Exit: exit, Hint: hint, Why: fmt.Sprintf(format, args...)}
}

// endRun ends what a parked or lost run left over.
func endRun(hosts []HostView, fleet FleetView) Decision {
	d := Decision{Why: fmt.Sprintf("ended while %s, stable was not touched", strings.ToLower(string(fleet.State))), Moves: map[string]HostMove{}, Target: fleet.Stable}
	for _, h := range hosts {
		d.Moves[h.Host] = HostMove{Move: Stay, Release: h.Stable, Revision: h.Revision}
		if h.Run.ID == fleet.Run {
			d.Moves[h.Host] = HostMove{Move: End, Release: h.Stable, Revision: h.Revision}
		}
	}
	return d
}

// endSplit takes the hosts back that committed a run which others did not:
// the others' stable is what the fleet ran before, and it is not touched.
func endSplit(hosts []HostView, fleet FleetView) Decision {
	d := endRun(hosts, fleet)
	for _, h := range hosts {
		if h.Run.ID != fleet.Run || !h.Run.Committed {
			continue
		}
		kept, ok := Previous(h)
		if !ok {
			return nothingEarlier(h)
		}
		d.Moves[h.Host] = move(h, kept)
	}
	d.Target = release.Release{}
	for _, h := range hosts {
		if m := d.Moves[h.Host]; !m.Release.IsZero() {
			d.Target = m.Release
		}
	}
	return d
}

// finishBack brings the hosts that a way back did not reach to where it took
// the others: those have left behind what was bad.
func finishBack(hosts []HostView, fleet FleetView) Decision {
	done, _ := find(hosts, func(h HostView) bool { return h.Run.ID == fleet.Run && h.Run.Committed })
	return all(hosts, Kept{Revision: done.Revision, Release: done.Stable})
}

// goBack takes a settled fleet to the previous revision, or to the one named.
func goBack(hosts []HostView, to string) Decision {
	kept, refused := target(hosts, to)
	if refused != nil {
		return *refused
	}
	return all(hosts, kept)
}

// all takes every host that has a release to one and the same.
func all(hosts []HostView, kept Kept) Decision {
	d := Decision{Moves: map[string]HostMove{}, Target: kept.Release}
	moved := false
	for _, h := range hosts {
		if h.Stable.IsZero() { // it was added since, and never had a release
			d.Moves[h.Host] = HostMove{Move: Stay}
			continue
		}
		here, ok := sameOn(h, kept)
		if !ok {
			return pruned(h, kept.Release.Version)
		}
		d.Moves[h.Host] = move(h, here)
		moved = moved || d.Moves[h.Host].Move != Stay
	}
	if !moved {
		d.Why = fmt.Sprintf("%s is already running", kept.Release)
	}
	return d
}

// target is the revision to go to. Without --to it is what the newest host
// ran before: hosts that are behind may be there already.
func target(hosts []HostView, to string) (Kept, *Decision) {
	lead := slices.MaxFunc(hosts, func(a, b HostView) int {
		return currentOf(a).Committed.Compare(currentOf(b).Committed)
	})
	if to == "" {
		if kept, ok := Previous(lead); ok {
			return kept, nil
		}
		d := nothingEarlier(lead)
		return Kept{}, &d
	}
	if kept, ok := named(lead, to); ok {
		return kept, nil
	}
	d := pruned(lead, to)
	return Kept{}, &d
}

// Previous is where a rollback goes: the revision that was committed last before the current one
// and is not rejected.
func Previous(h HostView) (Kept, bool) {
	return newest(h.Retained, func(k Kept) bool {
		return k.Revision != h.Revision && !k.Rejected && !k.Committed.IsZero()
	})
}

// named is what --to means on a host; a version that several revisions have
// is the one committed last. What was never committed is no target.
func named(h HostView, to string) (Kept, bool) {
	return newest(h.Retained, func(k Kept) bool {
		revision := len(to) >= 6 && strings.HasPrefix(string(k.Revision), to)
		return (revision || k.Release.Version == to) && !k.Committed.IsZero()
	})
}

// sameOn finds the target on another host: the same revision, else, because
// hosts may have been configured at different times, the same release.
func sameOn(h HostView, want Kept) (Kept, bool) {
	if h.Revision == want.Revision {
		return Kept{Revision: h.Revision, Release: h.Stable}, true
	}
	if k, ok := newest(h.Retained, func(k Kept) bool { return k.Revision == want.Revision }); ok {
		return k, true
	}
	return newest(h.Retained, func(k Kept) bool { return k.Release == want.Release && !k.Committed.IsZero() })
}

func newest(kept []Kept, is func(Kept) bool) (best Kept, found bool) {
	for _, k := range kept {
		if is(k) && (!found || k.Committed.After(best.Committed)) {
			best, found = k, true
		}
	}
	return best, found
}

func currentOf(h HostView) Kept {
	k, _ := newest(h.Retained, func(k Kept) bool { return k.Revision == h.Revision })
	return k
}

// move takes a host to a revision by the shortest way.
func move(h HostView, to Kept) HostMove {
	m := HostMove{Move: StartCold, Revision: to.Revision, Release: to.Release, Rejects: h.Revision}
	switch to.Revision {
	case h.Revision:
		m.Move, m.Rejects = Stay, ""
	case h.Idle:
		m.Move = Flip
	}
	return m
}

func nothingEarlier(h HostView) Decision {
	if h.Stable.IsZero() {
		return refuse(1, "shipper deploy", "%s has no committed release", h.Host)
	}
	hint := "deploy an earlier version"
	if k, ok := newest(h.Retained, func(k Kept) bool { return k.Rejected && k.Revision != h.Revision }); ok {
		hint = "to go to a rejected release all the same: shipper rollback --to " + k.Release.Version
	}
	return refuse(1, hint, "%s has no committed revision before %s to go back to", h.Host, h.Stable)
}

// pruned names what is kept instead.
func pruned(h HostView, to string) Decision {
	kept := slices.Clone(h.Retained)
	slices.SortFunc(kept, func(a, b Kept) int {
		return cmp.Or(b.Committed.Compare(a.Committed), cmp.Compare(a.Revision, b.Revision))
	})
	var names []string
	for _, k := range kept {
		if !k.Committed.IsZero() && !slices.Contains(names, k.Release.Version) {
			names = append(names, k.Release.Version)
		}
	}
	if len(names) == 0 {
		return refuse(1, "shipper deploy", "%s does not keep %s, and no other release", h.Host, to)
	}
	return refuse(1, "choose one with --to, or deploy "+to, "%s does not keep %s; kept are %s", h.Host, to, strings.Join(names, ", "))
}
