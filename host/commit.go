package host

import (
	"context"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// prepare verifies all that a commit needs, so that the commit itself has
// nothing left that could fail for a reason known before.
func (s *service) prepare(ctx context.Context, p rpc.Fenced) error {
	admit := func() error { return s.mayShift(p) }
	return s.work(ctx, order{name: "prepare", admit: admit}, func(ctx context.Context) error {
		if err := s.fit(ctx); err != nil {
			return err
		}
		return s.do(ctx, func() error {
			if err := s.mayShift(p); err != nil {
				return err
			}
			return s.change(func(st *state) { st.Run.Phase = phasePrepared })
		})
	})
}

// fit reports whether the run's slot may become stable.
func (s *service) fit(ctx context.Context) error {
	var rec slotRecord
	var slot release.Slot
	var now, next rpc.TrafficConfig
	err := s.do(ctx, func() error {
		slot = s.st.Run.Slot
		rec = s.st.Slots[slot]
		now, next = s.st.Traffic, s.st.Run.Traffic
		if s.st.Stable == "" {
			now = next // the router has it already
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.mayMove(ctx, now, next); err != nil {
		return err
	}
	if err := s.g.store.Verify(ctx, s.name, rec.Release); err != nil {
		return err
	}
	status, ok, err := s.alive(ctx, slot, rec.Port)
	if err == nil && !ok {
		err = rpc.Errorf(rpc.CodeUnhealthy, "", "the instance in slot %s is %s and does not serve port %d%s",
			slot, status.State, rec.Port, s.lastWords(slot))
	}
	return err
}

// commit makes the run's slot the stable one. The write of the state is the
// point of no return: before it the lease undoes everything, after it the
// guard brings the rest about, if need be after its next start.
func (s *service) commit(ctx context.Context, p rpc.Commit) (rpc.Committed, error) {
	var reply rpc.Committed
	admit := func() error { return s.mayCommit(p) }
	err := s.work(ctx, order{name: "commit", admit: admit, keep: true}, func(ctx context.Context) error {
		done := false
		s.tell(func() { done = s.committed(p.Run) })
		if !done {
			if err := s.fit(ctx); err != nil {
				return err
			}
		}
		err := s.do(ctx, func() error {
			if err := s.mayCommit(p); err != nil {
				return err
			}
			if !s.committed(p.Run) {
				if err := s.change(func(st *state) { st.commit(p, s.g.now()) }); err != nil {
					return err
				}
			}
			rec := s.stable()
			reply = rpc.Committed{Slot: s.st.Stable, Release: rec.Release, Revision: rec.Revision}
			done = !s.st.Mend
			return nil
		})
		if err != nil || done {
			return err
		}
		err = s.mend(ctx)
		if p.Rejected {
			s.dissect(ctx, p.Run, reply.Slot.Other(), "the fleet went back from it")
		}
		return err
	})
	if err != nil { // as in starts
		return rpc.Committed{}, err
	}
	return reply, nil
}

func (s *service) committed(run string) bool {
	r := s.st.Run
	return r != nil && r.ID == run && r.Phase == phaseCommitted
}

func (s *service) stable() slotRecord { return s.st.Slots[s.st.Stable] }

func (s *service) mayCommit(p rpc.Commit) error {
	if s.broken == nil && s.committed(p.Run) {
		return nil // keyed by run: asked again
	}
	return s.mayShift(p.Fenced)
}

// commit moves stable to the run's slot.
func (st *state) commit(p rpc.Commit, now time.Time) {
	old := st.Stable
	if p.Rejected && old != "" {
		st.reject(st.Slots[old].Revision)
	}
	run := st.Run
	st.Stable, st.Ports, st.Traffic, st.Mend = run.Slot, run.Ports, run.Traffic, true
	st.Warm, st.Alone = time.Time{}, run.Alone
	if run.Alone {
		p.KeepWarm = 0 // it is stopped already
	}
	if old != "" {
		st.Warm = now.Add(max(p.KeepWarm, 0)).Round(0)
	}
	if p.Retain > 0 {
		st.Retain = p.Retain
	}
	st.retain(st.Stable, now)
	st.Retained[0].Irreversible = st.Retained[0].Irreversible || p.Irreversible
	run.State, run.Phase, run.Weight, run.Ended, run.Behind = runPromoted, phaseCommitted, 0, now, p.Behind
}
