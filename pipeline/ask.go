package pipeline

import (
	"context"
	"errors"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// Ask leaves a request for the run that is alive: abort, pause, resume,
// promote, promote-full. It takes no lock and returns once a host has it.
func (p *Pipeline) Ask(ctx context.Context, kind string) (Result, error) {
	f := p.fleet()
	defer f.close()
	hosts := p.look(ctx, f)
	reached := false
	var failed error
	for _, hs := range hosts {
		s := hs.Status.Session
		if hs.Err != nil || s == nil || s.Manual {
			continue
		}
		h := f.byName(hs.Host)
		err := h.call(ctx, 0, func(c *rpc.Client) error {
			return c.Request(ctx, rpc.Ask{Service: p.Target.Service.Name, Kind: kind, By: p.Owner})
		})
		failed = errors.Join(failed, err)
		if err == nil {
			return Result{State: rollout.Running, Run: s.Run, Release: runRelease(hs.Status)}, nil
		}
		reached = true
	}
	if reached {
		return Result{State: rollout.Failed}, remoteProblem(failed, kind)
	}
	return p.nothingAlive(ctx, hosts, kind)
}

// nothingAlive answers a request when no controller is there to hear it.
func (p *Pipeline) nothingAlive(ctx context.Context, hosts []HostStatus, kind string) (Result, error) {
	st := fleetStatus(hosts)
	if err := firstError(hosts); err != nil && !(p.lenient() && (kind == "abort" || st.State == rollout.Paused)) {
		return Result{State: st.State}, reachProblem(err)
	}
	switch {
	case st.State == rollout.Paused && kind == "abort":
		return p.Rollback(ctx, RollbackRequest{})
	case st.State == rollout.Paused:
		return p.Resume(ctx, kind)
	}
	res := Result{State: rollout.Failed, Release: st.Stable} // how an older run ended is not how this verb did
	if st.State == rollout.Lost || st.State == rollout.Split {
		res.State, res.Run = st.State, st.Run
	}
	return res, problem.New(problem.Failed, "`shipper status` tells how the hosts stand", "%s: no run is in progress", kind)
}
