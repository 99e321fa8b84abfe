package pipeline

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
)

// Status asks every host, changes nothing, and says what follows for the
// fleet. It fails only when no host could be asked.
func (p *Pipeline) Status(ctx context.Context) (FleetStatus, error) {
	f := p.fleet()
	defer f.close()
	hosts := p.look(ctx, f)
	return fleetStatus(hosts), answered(hosts)
}

// look asks all hosts side by side; who cannot be asked carries the reason.
func (p *Pipeline) look(ctx context.Context, f fleet) []HostStatus {
	out := make([]HostStatus, len(f))
	index := map[*host]int{}
	for i, h := range f {
		index[h] = i
		out[i].Host = h.Name
	}
	_ = f.each(ctx, func(ctx context.Context, h *host) error {
		st, err := h.status(ctx)
		i := index[h]
		out[i].Status, out[i].Hello, out[i].Err = st, h.hello, err
		return nil
	})
	return out
}

func (h *host) status(ctx context.Context) (rpc.ServiceStatus, error) {
	var st rpc.ServiceStatus
	err := h.call(ctx, 0, func(c *rpc.Client) (err error) {
		st, err = c.Status(ctx, rpc.ServiceRef{Service: h.p.Target.Service.Name})
		return err
	})
	if isBare(err) {
		return rpc.ServiceStatus{Service: h.p.Target.Service.Name}, nil
	}
	if mine := h.p.Target.Environment; err == nil && st.Environment != "" && st.Environment != mine {
		return st, rpc.Errorf(rpc.CodeConflict, "name the other environment with --env, or choose another service name for one of them",
			"service %s belongs to environment %q on this host, not to %q", st.Service, st.Environment, mine)
	}
	return st, err
}

// statuses is look for verbs that need every host.
func (p *Pipeline) statuses(ctx context.Context, f fleet) (map[string]rpc.ServiceStatus, error) {
	out := map[string]rpc.ServiceStatus{}
	for _, h := range p.look(ctx, f) {
		if h.Err != nil {
			return nil, reachProblem(&hostError{Host: h.Host, Err: h.Err})
		}
		out[h.Host] = h.Status
	}
	return out, nil
}

func firstError(hosts []HostStatus) error {
	for _, h := range hosts {
		if h.Err != nil {
			return &hostError{Host: h.Host, Err: h.Err}
		}
	}
	return nil
}

// History merges what all hosts remember, oldest run first. The error names
// hosts that do not answer; what the others remember is there all the same.
func (p *Pipeline) History(ctx context.Context) ([]HistoryEntry, error) {
	records, away, err := p.journals(ctx, "*")
	if err == nil && !p.lenient() {
		err = away
	}
	return entries(records), err
}

// entries picks the two ends of each run. A run whose beginning no host knows
// is left out.
func entries(records []journal.Record) []HistoryEntry {
	runs := map[string]HistoryEntry{}
	for _, r := range records {
		e := runs[r.Run]
		switch {
		case r.Type == journal.TypeRunStarted && e.Started.Type == "":
			e.Started = r
		case r.Type == journal.TypeResult:
			e.Result = r
		case r.Type == journal.TypeUndone && e.Result.Type == "": // by a guard that had to end a run itself
			e.Result = r
		}
		runs[r.Run] = e
	}
	var out []HistoryEntry
	for _, e := range runs {
		if e.Started.Run != "" {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b HistoryEntry) int {
		return cmp.Or(a.Started.Time.Compare(b.Started.Time), cmp.Compare(a.Started.Run, b.Started.Run))
	})
	return out
}

func isBare(err error) bool { return errors.Is(err, ErrBare) }
