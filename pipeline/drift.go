package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
)

// Examine is Status, and looks on every host for what was changed behind
// shipper's back. That reads all files of the release there.
func (p *Pipeline) Examine(ctx context.Context) (FleetStatus, error) {
	f := p.fleet()
	defer f.close()
	hosts := p.look(ctx, f)
	p.inspect(ctx, f, hosts)
	return fleetStatus(hosts), answered(hosts)
}

// inspect adds to answers what differs from the hosts' records. One that
// cannot tell says why.
func (p *Pipeline) inspect(ctx context.Context, f fleet, hosts []HostStatus) {
	of := make(map[string]*HostStatus, len(hosts))
	for i := range hosts {
		of[hosts[i].Host] = &hosts[i]
	}
	_ = f.each(ctx, func(ctx context.Context, h *host) error {
		now := of[h.Name]
		if now == nil || now.Err != nil || !now.Status.Known {
			return nil
		}
		got, err := h.inspect(ctx, false)
		switch {
		case rpc.CodeOf(err) == rpc.CodeUnsupported:
			now.Blind = "its guard is of an older shipper"
		case err != nil:
			now.Blind = err.Error()
		case got.Busy:
			now.Blind = "it is being changed right now"
		}
		now.Drift = got.Drift
		return nil
	})
}

func (h *host) inspect(ctx context.Context, previous bool) (rpc.Inspected, error) {
	var out rpc.Inspected
	err := h.call(ctx, 0, func(c *rpc.Client) (err error) {
		out, err = c.Inspect(ctx, rpc.Inspect{Service: h.p.Target.Service.Name, Previous: previous})
		return err
	})
	return out, err
}

// drift is what differs on the hosts that answered.
func (p *Pipeline) drift(ctx context.Context, f fleet, answers map[string]rpc.ServiceStatus) []HostStatus {
	var hosts []HostStatus
	for _, h := range f {
		hosts = append(hosts, HostStatus{Host: h.Name, Status: answers[h.Name]})
	}
	p.inspect(ctx, f, hosts)
	return slices.DeleteFunc(hosts, func(h HostStatus) bool { return len(h.Drift) == 0 })
}

// tellDrift writes down what a run puts right.
func (s *story) tellDrift(hosts []HostStatus) {
	for _, h := range hosts {
		for _, d := range h.Drift {
			what := strings.TrimSpace(string(d.Slot) + " " + d.What)
			s.note(journal.TypeWarning, h.Host, "changed by others: "+what+" is "+d.Have+"; should be "+d.Want)
		}
	}
}

// damaged reports whether what the host keeps of the release cannot be started.
func damaged(drift []rpc.Drift) bool {
	return slices.ContainsFunc(drift, func(d rpc.Drift) bool { return d.What == "release" || d.What == "revision" })
}

// answered is an error if no host could be asked.
func answered(hosts []HostStatus) error {
	for _, h := range hosts {
		if h.Err == nil {
			return nil
		}
	}
	if len(hosts) == 0 {
		return errors.New("there are no hosts")
	}
	return reachProblem(firstError(hosts))
}
