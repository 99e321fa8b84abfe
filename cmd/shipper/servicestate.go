package main

import (
	"strings"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/release"
)

// serviceState puts a host's answer into the journal's words.
func serviceState(h pipeline.HostStatus) journal.ServiceState {
	if h.Err != nil {
		return journal.ServiceState{Error: h.Err.Error()}
	}
	st := h.Status
	out := journal.ServiceState{
		Known: st.Known, Environment: st.Environment, Stable: st.Stable,
		Lock: lockOf(st.Session), WarmSeconds: st.WarmFor.Seconds(), Frozen: st.Frozen, Notes: st.Notes,
	}
	for slot, s := range st.Slots {
		if out.Slots == nil {
			out.Slots = map[release.Slot]journal.SlotState{}
		}
		row := journal.SlotState{Release: s.Release, State: s.Live.State, PID: s.Live.PID, Port: s.Port}
		if st.Traffic != nil {
			row.Weight = st.Traffic.Weights[slot]
		}
		out.Slots[slot] = row
	}
	if r := st.Run; r != nil {
		out.LastRun = &journal.RunState{
			ID: r.ID, Verb: r.Verb, State: r.State, Phase: r.Phase, Release: r.Release, Why: r.Why, Since: r.Since,
		}
	}
	for _, k := range st.Retained {
		out.Kept = append(out.Kept, journal.Kept{Release: k.Release, Revision: k.Revision, Committed: k.Committed, Rejected: k.Rejected})
	}
	return out
}

func lockOf(s *rpc.Session) *journal.Lock {
	if s == nil {
		return nil
	}
	return &journal.Lock{
		Run: s.Run, Verb: s.Verb, Owner: s.Owner, Address: s.Address, Since: s.Since,
		RemainingSeconds: s.Remaining.Seconds(), Message: s.Message, Manual: s.Manual,
	}
}

func list(names []string) string {
	if len(names) == 0 {
		return "the hosts differ"
	}
	return strings.Join(names, ", ")
}
