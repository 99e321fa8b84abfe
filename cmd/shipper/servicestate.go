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
		Known: st.Known, Environment: st.Environment, Stable: st.Stable, Session: sessionOf(st.Session),
		WarmSeconds: st.WarmFor.Seconds(), Frozen: st.Frozen, Notes: st.Notes,
	}
	out.DriftWhy = h.Blind
	for _, d := range h.Drift {
		out.Drift = append(out.Drift, journal.Drift(d))
	}
	for slot, s := range st.Slots {
		if out.Slots == nil {
			out.Slots = map[release.Slot]journal.SlotState{}
		}
		live := journal.Live{State: s.Live.State, PID: s.Live.PID}
		out.Slots[slot] = journal.SlotState{Release: s.Release, Revision: s.Revision, Port: s.Port, Live: live}
	}
	if t := st.Traffic; t != nil {
		out.Traffic = &journal.Traffic{Weights: t.Weights, Leased: t.Leased}
	}
	if r := st.Run; r != nil {
		out.Run = &journal.RunState{
			ID: r.ID, Verb: r.Verb, State: r.State, Phase: r.Phase, Release: r.Release, Why: r.Why, Since: r.Since,
		}
	}
	for _, k := range st.Retained {
		out.Retained = append(out.Retained, journal.Kept{Release: k.Release, Revision: k.Revision, Committed: k.Committed, Rejected: k.Rejected})
	}
	return out
}

func sessionOf(s *rpc.Session) *journal.Session {
	if s == nil {
		return nil
	}
	return &journal.Session{
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
