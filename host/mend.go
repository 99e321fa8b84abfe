package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

// reconcile is the first task of a service after the guard started: it
// decides what of the record still counts, and brings the host to it.
func (s *service) reconcile(ctx context.Context) error {
	if err := s.do(ctx, s.recall); err != nil {
		s.tell(s.again)
		return err
	}
	return s.mend(ctx)
}

// recall decides which leases are honoured: those of this machine and this
// boot. A machine that was cloned or restored must not act on what its
// original was doing.
func (s *service) recall() error {
	g := s.g
	moved := s.st.Machine != "" && s.st.Machine != g.machine
	fresh := s.st.Boot != g.boot || moved
	why := "the host was restarted"
	if moved {
		why = "this is another machine than the one that wrote the state: a clone or a restored image"
	}
	if err := s.recallSession(fresh, moved); err != nil {
		return err
	}
	lost := s.st.Run.live() && (fresh || s.ses == nil || s.ses.Run != s.st.Run.ID) || s.st.Run.parked() && fresh
	if !lost && !fresh {
		if run := s.st.Run; run.alone() && run.Weight == 0 { // nobody serves
			s.held = holding{run.ID, s.g.now().Add(run.Hold), 0}
		}
		return nil
	}
	run := s.st.Run
	err := s.change(func(st *state) {
		if moved {
			st.note(g.now().UTC().Format(time.RFC3339) + ": " + why + "; no lease is honoured, stable only")
		}
		if fresh {
			st.Mend, st.Warm = true, time.Time{}
		}
		if lost {
			if !fresh {
				why = "the guard was interrupted while the run ended"
			}
			st.end(ending{state: runLost, why: why}, g.now(), 0)
		}
	})
	if err == nil && lost {
		s.record(run.ID, journal.TypeUndone, journal.Undone{By: "guard", Why: why, Release: s.stable().Release})
	}
	s.unclean = fresh
	return err
}

// recallSession gives a session of this boot what is left of its lease, by
// the wall clock and never more than it was. A lock that a person took
// outlives a restart of the machine, though not a clone.
func (s *service) recallSession(fresh, moved bool) error {
	if s.ses == nil {
		return nil
	}
	if moved || fresh && !s.ses.Manual {
		return s.free()
	}
	if !s.ses.Manual {
		left := s.ses.Expires.Sub(s.g.now().Round(0))
		s.deadline = s.g.now().Add(min(max(left, 0), s.ses.TTL))
	}
	return nil
}

// mend brings about what the state says, after a start of the guard, a commit
// or a failure: stable runs and starts by itself, the route shows it, the idle
// slot rests. It can be repeated; when something fails it is tried again.
func (s *service) mend(ctx context.Context) error {
	err := s.converge(ctx)
	if err == nil {
		err = s.do(ctx, func() error {
			s.tries, s.retry, s.stray = 0, s.stray, time.Time{}
			if !s.st.Mend {
				return nil
			}
			return s.change(func(st *state) { st.Mend = false })
		})
	}
	if err != nil {
		s.tell(s.again)
	}
	return err
}

func (s *service) converge(ctx context.Context) error {
	var st state
	var unclean, idleRuns bool
	err := s.do(ctx, func() error { st, unclean, idleRuns = s.st.clone(), s.unclean, s.idleRuns(); return nil })
	if err != nil { // nobody said that there is no stable
		return err
	}
	idle := st.Stable.Other()
	var errs []error
	if (st.Alone || st.Run != nil && st.Run.Alone) && !idleRuns && st.Slots[idle].Port != 0 {
		if err := s.rest(ctx, idle); err != nil {
			return err // before it has ended nothing may start beside it
		}
	}
	if st.Stable != "" && !st.Run.alone() {
		if err := s.ensureStable(ctx, st, unclean); err != nil {
			errs = append(errs, err)
		}
	}
	if err := s.ensureRoute(ctx, st); err != nil {
		errs = append(errs, err)
	}
	s.settleFirewall(ctx, st)
	if !idleRuns && st.Slots[idle].Port != 0 {
		errs = append(errs, s.rest(ctx, idle))
	}
	if st.Stable == "" {
		errs = append(errs, s.rest(ctx, release.Green))
		return errors.Join(errs...)
	}
	errs = append(errs, s.notWarm(ctx, idle))
	errs = append(errs, s.settle(ctx, st, idle))
	return errors.Join(errs...)
}

// notWarm forgets that a slot is kept warm which does not run: it was stopped,
// or deleted, by others. If it crashed before the commit, the service manager
// may yet bring it back by the recovery that it had as stable: there is one more
// look when that would have come.
func (s *service) notWarm(ctx context.Context, idle release.Slot) error {
	status, err := s.g.opts.SCM.Status(ctx, idle.Service(s.name))
	if err != nil || status.State == scm.Running || status.State == scm.StartPending {
		return err
	}
	return s.do(ctx, func() error {
		if s.st.Warm.IsZero() || s.inUse() {
			return nil
		}
		if rev, err := s.kept(s.st.Slots[idle].Revision); err == nil && len(rev.Recovery) > 0 {
			s.stray = s.g.now().Add(time.Duration(slices.Max(rev.Recovery))*time.Millisecond + strayMargin)
		}
		return s.change(func(st *state) { st.Warm = time.Time{} })
	})
}

// strayMargin is how long a service manager may be late with a recovery: one
// that hangs does it when it is well again.
const strayMargin = time.Minute

// idleRuns reports whether the slot beside stable has a reason to run.
func (s *service) idleRuns() bool { return !s.st.Warm.IsZero() || s.inUse() }

// ensureStable starts the committed slot if it does not run. After a boot its
// release is verified first: what the disk lost must not serve.
func (s *service) ensureStable(ctx context.Context, st state, unclean bool) error {
	rec := st.Slots[st.Stable]
	if unclean {
		if err := s.g.store.Verify(ctx, s.name, rec.Release); err != nil {
			return s.distrust(ctx, st.Stable, err)
		}
		s.tell(func() { s.unclean = false })
	}
	status, err := s.g.opts.SCM.Status(ctx, st.Stable.Service(s.name))
	if err != nil || status.State == scm.Running || status.State == scm.StartPending {
		return err
	}
	_, err = s.startSlot(ctx, st.Stable, rec.Port, 0)
	return err
}

// distrust stops a slot whose release is damaged: it may have started by itself.
func (s *service) distrust(ctx context.Context, slot release.Slot, why error) error {
	if rpc.CodeOf(why) == "" {
		return why
	}
	s.tell(func() {
		text := "slot " + string(slot) + " is stopped: " + why.Error()
		if n := len(s.st.Notes); n == 0 || s.st.Notes[n-1] != text {
			s.st.note(text)
		}
	})
	return errors.Join(why, s.halt(ctx, slot))
}

func (s *service) ensureRoute(ctx context.Context, st state) error {
	config := st.Traffic
	if st.Stable == "" {
		if !st.Run.started() {
			return nil
		}
		config = st.Run.Traffic
	}
	if err := s.needRouter(ctx, config); err != nil {
		return err
	}
	_, err := s.apply(ctx)
	return err
}

// rest stops a slot that has no reason to run and keeps it from starting.
func (s *service) rest(ctx context.Context, slot release.Slot) error {
	status, err := s.g.opts.SCM.Status(ctx, slot.Service(s.name))
	if err != nil || status.State == scm.Absent {
		return err
	}
	return errors.Join(s.clear(ctx, slot), s.retune(ctx, slot, scm.Manual, nil))
}

// clear stops a slot when what it is still answering has ended.
func (s *service) clear(ctx context.Context, slot release.Slot) error {
	status, err := s.g.opts.SCM.Status(ctx, slot.Service(s.name))
	if err == nil && status.State != scm.Stopped && status.State != scm.Absent {
		s.drain(ctx, slot)
	}
	return s.halt(ctx, slot)
}

// settle gives both slots the start types, the recovery and the roles that
// belong to them. In between both may start by themselves, never none; and at
// no time do both believe to be stable.
func (s *service) settle(ctx context.Context, st state, idle release.Slot) error {
	rev, err := s.kept(st.Slots[st.Stable].Revision)
	if err != nil {
		return err
	}
	var recovery []time.Duration
	for _, ms := range rev.Recovery {
		recovery = append(recovery, time.Duration(ms)*time.Millisecond)
	}
	if st.Alone && st.Slots[idle].Port != 0 { // after a crash in between none starts by itself, rather than both
		if err := s.retune(ctx, idle, scm.Manual, nil); err != nil {
			return fmt.Errorf("keep slot %s from starting by itself: %w", idle, err)
		}
	}
	if err := s.retune(ctx, st.Stable, scm.Auto, recovery); err != nil {
		return fmt.Errorf("make slot %s start by itself: %w", st.Stable, err)
	}
	if st.Slots[idle].Port != 0 {
		if err := s.retune(ctx, idle, scm.Manual, nil); err != nil {
			return fmt.Errorf("keep slot %s from starting by itself: %w", idle, err)
		}
		if err := s.setRole(idle, release.Canary); err != nil {
			return err
		}
	}
	return s.setRole(st.Stable, release.Stable)
}
