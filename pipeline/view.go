package pipeline

import (
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// fleetStatus is what follows from what all hosts say.
func fleetStatus(hosts []HostStatus) FleetStatus {
	v := rollout.Fleet(views(hosts))
	return FleetStatus{State: v.State, Stable: v.Stable, Run: v.Run, Verb: v.Verb, Why: v.Why, Behind: v.Behind, Left: v.Left, Reason: v.Reason, Hosts: hosts}
}

func views(hosts []HostStatus) []rollout.HostView {
	var out []rollout.HostView
	for _, h := range hosts {
		out = append(out, view(h))
	}
	return out
}

// view puts a host's answer into the engine's words.
func view(h HostStatus) rollout.HostView {
	st := h.Status
	v := rollout.HostView{Host: h.Host, Err: h.Err, Alive: st.Session != nil && !st.Session.Manual}
	if st.Stable != "" {
		v.Stable, v.Revision = st.Slots[st.Stable].Release, st.Slots[st.Stable].Revision
		if idle := st.Slots[st.Stable.Other()]; idle.Live.State == "running" {
			v.Idle = idle.Revision
		}
	}
	if r := st.Run; r != nil {
		v.Run = rollout.RunView{
			ID: r.ID, Verb: r.Verb, State: rollout.State(r.State),
			Committed: r.Phase == "committed" && r.State == string(rollout.Promoted), // rolled back from on the host: no more
			Release:   r.Release, Why: r.Why, Since: r.Since, Behind: r.Behind,
		}
	}
	for _, k := range st.Retained {
		v.Retained = append(v.Retained, rollout.Kept{
			Revision: k.Revision, Release: k.Release, Committed: k.Committed, Rejected: k.Rejected, Irreversible: k.Irreversible,
		})
	}
	return v
}

func runRelease(st rpc.ServiceStatus) release.Release {
	if st.Run != nil {
		return st.Run.Release
	}
	return release.Release{}
}
