package host

import (
	"context"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// rehearse shows that the host could go back: it starts what a rollback would
// take in the slot beside stable, checks it, and stops it again. No request
// goes there, and no run is recorded. A slot that is warm is only checked.
func (s *service) rehearse(ctx context.Context, p rpc.Rehearse) (rpc.Rehearsed, error) {
	var out rpc.Rehearsed
	var st state
	admit := func() error {
		if err := s.holds(p.Fenced); err != nil {
			return err
		}
		st = s.st.clone()
		switch {
		case st.Stable == "" || st.Run.live() && st.Run.started() || st.Run.parked():
			return rpc.Errorf(rpc.CodeConflict, "`shipper status` tells how the hosts stand", "the slot beside stable is in use")
		case st.Alone:
			return rpc.Errorf(rpc.CodeConflict, "", "two instances must not live at the same time")
		}
		return nil
	}
	err := s.work(ctx, order{name: "rehearse", admit: admit}, func(ctx context.Context) error {
		target, ok := st.previous()
		if !ok {
			return rpc.Errorf(rpc.CodeNotFound, "", "%s has no earlier committed revision on this host", s.name)
		}
		slot, began := st.Stable.Other(), s.g.now()
		port := slotPort(st.Ports, slot)
		_, runs, err := s.alive(ctx, slot, port)
		out.Warm = err == nil && runs && s.g.now().Before(st.Warm) && st.Slots[slot].Revision == target.Revision
		if !out.Warm {
			defer func() { _ = s.halt(context.WithoutCancel(ctx), slot) }() // the guard lets it rest later, too
			if err := s.warmUp(ctx, target, slot, port); err != nil {
				return err
			}
		}
		out.Slot, out.Millis = slot, s.g.now().Sub(began).Milliseconds()
		return s.tryOut(ctx, slot, port, p.Checks, &out)
	})
	if err != nil { // as in starts
		return rpc.Rehearsed{}, err
	}
	return out, nil
}

// tryOut runs the smoke checks against a slot that belongs to no run.
func (s *service) tryOut(ctx context.Context, slot release.Slot, port int, checks []rpc.Check, out *rpc.Rehearsed) error {
	for _, c := range checks {
		reply, err := s.repeat(ctx, slot, port, c, func() error { return nil })
		if err != nil {
			return err
		}
		out.Checks = append(out.Checks, reply)
	}
	return nil
}
