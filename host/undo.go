package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

// errDone ends work that was done before.
var errDone = errors.New("nothing is left to do")

// ending is how a run ends on this host, and by whom.
type ending struct {
	state string
	why   string
	by    string // controller | guard | operator; the controller keeps its own journal

	override string // a person's reason to go back behind an irreversible release
}

// undo takes the host back to what was stable when the session began. It
// replies when the route is back and that is recorded; the slot is drained
// and stopped after that.
func (s *service) undo(ctx context.Context, p rpc.Undo) (rpc.Undone, error) {
	var reply rpc.Undone
	end := ending{state: cmp.Or(p.State, runRolledBack), why: p.Why, by: "controller"}
	over := false
	admit := func() (err error) {
		reply, over, err = s.mayUndo(p)
		if over {
			err = errDone
		}
		return err
	}
	flipped := make(chan rpc.Undone, 1)
	result := make(chan error, 1)
	go func() {
		result <- s.work(ctx, order{name: "undo", admit: admit, urgent: true, keep: true}, func(ctx context.Context) error {
			return s.revert(ctx, end, func(u rpc.Undone) { flipped <- u })
		})
	}()
	select {
	case u := <-flipped:
		return u, nil
	case err := <-result:
		if err == errDone {
			return reply, nil
		}
		select {
		case u := <-flipped: // the route is back; the rest is mended later
			return u, nil
		default:
			return reply, err
		}
	}
}

// mayUndo reports over with a reply when there is nothing to take back.
func (s *service) mayUndo(p rpc.Undo) (reply rpc.Undone, over bool, err error) {
	if s.broken != nil {
		return reply, false, s.broken
	}
	rec := s.stable()
	reply = rpc.Undone{Release: rec.Release, Slot: s.st.Stable}
	r := s.st.Run
	if r != nil && r.ID == p.Run && r.Phase == phaseUndone {
		reply.Millis, reply.Before = r.Millis, r.State
		return reply, true, nil
	}
	if err := s.holds(p.Fenced); err != nil {
		return reply, false, err
	}
	switch {
	case s.committed(p.Run):
		return reply, false, rpc.Errorf(rpc.CodeConflict, "use shipper rollback", "run %s is committed on this host", p.Run)
	case r.parked() || r.live() && r.started():
		return reply, false, nil
	case r.live():
		err := s.change(func(st *state) { st.end(ending{state: cmp.Or(p.State, runRolledBack), why: p.Why}, s.g.now(), 0) })
		return reply, true, err
	}
	return reply, true, nil
}

// end closes the run's record.
func (st *state) end(e ending, now time.Time, millis int64) {
	r := st.Run
	r.State, r.Phase, r.Why, r.Ended = e.state, phaseUndone, e.why, now
	r.Weight, r.Until, r.Millis = 0, time.Time{}, millis
}

// revert takes the run's slot out of service: route first, then the record,
// then drain and stop. It is the work of undo, of an expired lease, of parking
// that took too long and of the operator; it runs as the service's task.
func (s *service) revert(ctx context.Context, e ending, told func(rpc.Undone)) error {
	began := s.g.now()
	var run runRecord
	s.tell(func() { s.reverting, run = true, *s.st.Run })
	defer s.tell(func() { s.reverting = false })
	if run.Alone {
		if err := s.standBack(ctx, run); err != nil {
			s.log.Warn("stable is not back yet", "error", err)
			defer s.tell(s.again)
		}
	}
	routed := s.backToStable(ctx)
	var stop bool
	u := rpc.Undone{Millis: s.g.now().Sub(began).Milliseconds()}
	if e.deservesOne() && run.Slot != "" {
		u.Autopsy = filepath.Join(s.autopsies(), run.ID)
	}
	recorded := s.do(ctx, func() error {
		u.Release, u.Slot = s.stable().Release, s.st.Stable
		stop = run.Slot != s.st.Stable && !(run.Warm && s.g.now().Before(s.st.Warm))
		if s.st.Run.ID != run.ID { // a new run took a parked one's place
			return nil
		}
		return s.change(func(st *state) { st.end(e, s.g.now(), u.Millis) })
	})
	if e.deservesOne() && run.Slot != "" {
		why := e.why
		if run.parked() && run.Why != "" { // what failed, not who ended it
			why = run.Why + "; " + why
		}
		s.dissect(ctx, run.ID, run.Slot, why)
		defer func() { s.dissect(context.WithoutCancel(ctx), run.ID, run.Slot, why) }() // with its last words
	}
	if recorded == nil && routed == nil {
		s.tellUndone(run.ID, e, u)
		told(u)
	}
	if stop {
		s.drain(ctx, run.Slot)
		if err := s.halt(ctx, run.Slot); err != nil {
			s.tell(s.again)
			return fmt.Errorf("stop slot %s: %w", run.Slot, err)
		}
	}
	if recorded != nil {
		return recorded
	}
	if routed != nil {
		s.tell(s.again)
		return fmt.Errorf("route back to stable: %w", routed)
	}
	return nil
}

// tellUndone writes the journal for those who cannot any more.
func (s *service) tellUndone(run string, e ending, u rpc.Undone) {
	if e.by == "controller" {
		return
	}
	s.tell(func() {
		s.record(run, journal.TypeUndone, journal.Undone{By: e.by, Why: e.why, Release: u.Release, Millis: u.Millis, Autopsy: u.Autopsy})
	})
}

// expire is the guard's own undo, when the controller is gone.
func (s *service) expire(ctx context.Context) error {
	var e ending
	var needed bool
	s.tell(func() {
		e = ending{state: runLost, by: "guard", why: fmt.Sprintf("nothing was heard of %s for %s", s.ses.Owner, s.ses.TTL)}
		needed = s.st.Run.live() && s.st.Run.started()
	})
	var err error
	if needed {
		err = s.revert(ctx, e, func(rpc.Undone) {})
	}
	if err == nil {
		err = s.do(ctx, func() error { return s.lose(e) })
	}
	if err != nil { // the next tick tries again, but not at once
		_ = s.g.sleep(s.g.ctx, time.Second)
	}
	s.tell(func() { s.undoing = false })
	return err
}

// lose frees the session of a run that is gone.
func (s *service) lose(e ending) error {
	if r := s.st.Run; r.live() && r.ID == s.ses.Run {
		if err := s.change(func(st *state) { st.end(e, s.g.now(), 0) }); err != nil {
			return err
		}
		s.record(s.st.Run.ID, journal.TypeUndone, journal.Undone{By: e.by, Why: e.why, Release: s.stable().Release})
	}
	return s.free()
}

// park leaves the new slot running without traffic and frees the lock.
func (s *service) park(ctx context.Context, p rpc.Park) error {
	over := false
	admit := func() error {
		r := s.st.Run
		if over = s.broken == nil && r.parked() && r.ID == p.Run; over {
			return errDone
		}
		if r.alone() {
			return rpc.Errorf(rpc.CodeConflict, "abort it", "run %s cannot be parked: its stable instance is stopped", p.Run)
		}
		return s.mayShift(p.Fenced)
	}
	err := s.work(ctx, order{name: "park", admit: admit}, func(ctx context.Context) error {
		s.tell(func() { s.reverting = true })
		defer s.tell(func() { s.reverting = false })
		if err := s.backToStable(ctx); err != nil {
			return err
		}
		return s.do(ctx, func() error {
			if err := s.holds(p.Fenced); err != nil {
				return err
			}
			err := s.change(func(st *state) {
				r := st.Run
				r.State, r.Phase, r.Weight, r.Why, r.Step = runPaused, phaseParked, 0, p.Why, p.Step
				r.Until = s.g.now().Add(cmp.Or(p.For, 24*time.Hour)).Round(0)
			})
			if err != nil || p.Freeze {
				return err
			}
			return s.free()
		})
	})
	if err == nil {
		s.showParked(ctx)
	}
	if err == errDone {
		return nil
	}
	return err
}

// showParked lets people go on looking at what waits. It is parked all the
// same if the router does not hear of it.
func (s *service) showParked(ctx context.Context) {
	shown := false
	s.tell(func() { shown = s.st.Run.parked() && s.st.Run.Traffic.Preview != "" })
	if !shown {
		return
	}
	if _, err := s.apply(ctx); err != nil {
		s.log.Warn("the parked release is not shown", "error", err)
	}
}

// unpark ends a run that waited too long.
func (s *service) unpark(ctx context.Context) error {
	e := ending{state: runAborted, by: "guard", why: "it was parked and nobody went on with it"}
	return s.revert(ctx, e, func(rpc.Undone) {})
}

// cool ends the time in which the old slot stays warm.
func (s *service) cool(ctx context.Context) error {
	var idle release.Slot
	s.tell(func() { idle = s.st.Stable.Other() })
	s.drain(ctx, idle)
	if err := s.halt(ctx, idle); err != nil {
		s.tell(func() { s.st.Warm = s.g.now().Add(5 * time.Second) })
		return err
	}
	if err := s.do(ctx, func() error { return s.change(func(st *state) { st.Warm = time.Time{} }) }); err != nil {
		return err
	}
	return s.tidy(ctx)
}
