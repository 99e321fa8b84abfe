package host

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

// rollback is the way back without a controller, on this host alone. A run
// that is alive or parked ends and stable stays untouched; otherwise the
// revision committed before takes over.
func (s *service) rollback(ctx context.Context, p rpc.Rollback) (rpc.Undone, error) {
	var reply rpc.Undone
	e := ending{state: runRolledBack, by: "operator", why: fmt.Sprintf("rolled back on the host by %s", p.By), override: p.Override}
	if p.Override != "" {
		e.why += ", over a release that is irreversible: " + p.Override
	}
	over := false
	admit := func() (err error) {
		over, err = s.endRun(e)
		reply = rpc.Undone{Release: s.stable().Release, Slot: s.st.Stable}
		if over && err == nil {
			err = errDone
		}
		return err
	}
	err := s.work(ctx, order{name: "rollback", admit: admit, urgent: true, keep: true}, func(ctx context.Context) error {
		var revert bool
		s.tell(func() { revert = s.st.Run.parked() || s.st.Run.live() })
		told := func(u rpc.Undone) { reply = u }
		if revert {
			if err := s.revert(ctx, e, told); err != nil {
				return err
			}
			return s.do(ctx, s.freeRun)
		}
		return s.goBack(ctx, e, told)
	})
	if err == errDone {
		return reply, nil
	}
	if err != nil { // as in starts
		return rpc.Undone{}, err
	}
	return reply, nil
}

// endRun ends a run that changed nothing yet; over says that this was all.
func (s *service) endRun(e ending) (over bool, err error) {
	if s.broken != nil {
		return false, s.broken
	}
	if r := s.st.Run; !r.live() || r.started() {
		return false, nil
	}
	if err := s.change(func(st *state) { st.end(e, s.g.now(), 0) }); err != nil {
		return false, err
	}
	return true, s.freeRun()
}

// freeRun ends a run's session; a lock that a person took stays.
func (s *service) freeRun() error {
	if s.ses == nil || s.ses.Manual {
		return nil
	}
	return s.free()
}

// goBack makes the revision committed before stable again: at once if it is
// still warm, else when it runs and listens.
func (s *service) goBack(ctx context.Context, e ending, told func(rpc.Undone)) error {
	began := s.g.now()
	var target rpc.Retained
	var slot release.Slot
	var ports rpc.Ports
	err := s.do(ctx, func() error {
		var ok bool
		if target, ok = s.st.previous(); !ok {
			return rpc.Errorf(rpc.CodeNotFound, "deploy a good release instead", "%s has no earlier committed revision on this host", s.name)
		}
		slot, ports = s.st.Stable.Other(), s.st.Ports
		if r, ok := s.st.barrier(target); ok && e.override == "" {
			return rpc.Errorf(rpc.CodeConflict, "deploy a release that mends it; or, if you know that the old one works: shipper-host rollback "+s.name+" REASON",
				"%s is irreversible: there is no way back behind it", r.Release)
		}
		return nil
	})
	if err != nil {
		return err
	}
	port := slotPort(ports, slot)
	run := "rollback-" + began.UTC().Format("20060102T150405")
	s.tell(func() {
		if s.st.Run != nil {
			run = s.st.Run.ID
		}
	})
	if err := s.exchange(ctx, func() error { return s.warmUp(ctx, target, slot, port) }); err != nil {
		return err
	}
	err = s.do(ctx, func() error {
		if err := s.freeRun(); err != nil {
			return err
		}
		return s.change(func(st *state) { st.flip(slot, e, s.g.now()) })
	})
	if err != nil {
		return err
	}
	err = s.mend(ctx)
	s.dissect(ctx, run, slot.Other(), e.why)
	u := rpc.Undone{Release: target.Release, Slot: slot, Millis: s.g.now().Sub(began).Milliseconds(), Autopsy: filepath.Join(s.autopsies(), run)}
	told(u)
	s.tell(func() {
		s.record(run, journal.TypeUndone, journal.Undone{By: e.by, Why: e.why, Release: u.Release, Millis: u.Millis, Autopsy: u.Autopsy})
	})
	return err
}

// warmUp makes sure that the target runs in slot.
func (s *service) warmUp(ctx context.Context, target rpc.Retained, slot release.Slot, port int) error {
	var rec slotRecord
	s.tell(func() { rec = s.st.Slots[slot] })
	if _, ok, err := s.alive(ctx, slot, port); err == nil && ok && rec.Revision == target.Revision && s.untouched(ctx, rec, slot) {
		return nil
	}
	rev, err := s.kept(target.Revision)
	if err != nil {
		return err
	}
	if err := s.g.store.Verify(ctx, s.name, rev.Release); err != nil {
		return err
	}
	err = s.do(ctx, func() error {
		return s.change(func(st *state) {
			st.Slots[slot] = slotRecord{Release: rev.Release, Revision: target.Revision, Port: port}
			st.Warm = time.Time{}
		})
	})
	if err != nil {
		return err
	}
	if err := s.clear(ctx, slot); err != nil {
		return err
	}
	if err := s.equip(ctx, rev, slot, port); err != nil {
		return err
	}
	if _, err := s.startSlot(ctx, slot, port, 0); err != nil {
		if stopped := s.halt(context.WithoutCancel(ctx), slot); stopped != nil {
			s.log.Warn("slot was not stopped", "slot", slot, "error", stopped)
		}
		return err
	}
	return nil
}

// flip makes slot stable, and the revision that was so a target by name only.
func (st *state) flip(slot release.Slot, e ending, now time.Time) {
	st.reject(st.Slots[st.Stable].Revision)
	st.Stable, st.Mend, st.Warm = slot, true, now.Round(0) // the old slot drains and stops at once
	st.retain(slot, now)
	if r := st.Run; r != nil {
		r.State, r.Why, r.Ended = e.state, e.why, now
	}
}
