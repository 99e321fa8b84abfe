package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// Where two instances must not live at the same time, the old one is stopped
// before the new one starts, and the other way round on the way back. Requests
// wait meanwhile. A stopped stable is leased like a weight: whoever goes back
// starts it again.

const (
	// maxGap bounds for how long requests wait in one such change.
	maxGap = 10 * time.Minute
	// usualGap is that of a way back of which nobody said it.
	usualGap = 30 * time.Second
)

// replaceStable is start for a run that is alone on the host.
func (s *service) replaceStable(ctx context.Context, p rpc.Start) (rpc.Started, error) {
	if p.Hold < 0 || p.Hold > maxGap {
		return rpc.Started{}, rpc.Errorf(rpc.CodeFailed, "", "hold for %v: want 0 to %v", p.Hold, maxGap)
	}
	return s.starts(ctx, p, true)
}

// alone reports whether the run stands in for a stable that is, or may be, stopped.
func (r *runRecord) alone() bool { return r.live() && r.started() && r.Alone }

// inPlace reports whether the run's slot has taken the place of stable: there
// is no other that a request could go to.
func (s *service) inPlace() bool {
	return s.st.Run.running() && s.st.Run.alone() && s.st.Run.Weight == release.Full && s.ses != nil && !s.undoing && !s.reverting
}

// makeRoom lets requests wait and stops stable.
func (s *service) makeRoom(ctx context.Context, p rpc.Start) error {
	var stable release.Slot
	err := s.do(ctx, func() error {
		if err := s.holds(p.Fenced); err != nil {
			return err
		}
		stable = s.st.Stable
		s.held = holding{p.Run, s.g.now().Add(p.Hold), 0}
		return nil
	})
	if err != nil || stable == "" {
		return err
	}
	return s.vacate(ctx, stable)
}

// vacate stops a slot that has the traffic, when what it is answering has ended.
func (s *service) vacate(ctx context.Context, slot release.Slot) error {
	if _, err := s.apply(ctx); err != nil {
		s.log.Warn("requests are not held", "error", err)
	}
	s.quiesce(ctx, slot)
	if err := s.halt(ctx, slot); err != nil {
		return fmt.Errorf("stop slot %s: %w", slot, err)
	}
	return nil
}

// quiesce waits until a slot has no request in flight, no longer than a drain
// would. A router that does not answer has nothing to wait for.
func (s *service) quiesce(ctx context.Context, slot release.Slot) {
	var managed bool
	var r router.Route
	if s.do(ctx, func() error { r, managed = s.route(); return nil }) != nil || !managed {
		return
	}
	until := s.g.now().Add(cmp.Or(r.DrainTimeout, router.DefaultDrain))
	for s.g.now().Before(until) {
		view, err := s.g.opts.Router.Get(ctx, s.name)
		if err != nil || view.Inflight[slot] == 0 || s.g.sleep(ctx, startPoll/2) != nil {
			return
		}
	}
}

// gapLeft is how long requests shall wait yet while the host goes back.
func (s *service) gapLeft() time.Duration { return max(0, s.gap.Sub(s.g.now())) }

// standBack stops the run's slot and starts stable again; as part of revert.
func (s *service) standBack(ctx context.Context, run runRecord) error {
	var st state
	s.tell(func() {
		s.gap = s.g.now().Add(cmp.Or(run.Hold, usualGap))
		st = s.st.clone()
	})
	defer s.tell(func() { s.gap = time.Time{} })
	if err := s.vacate(ctx, run.Slot); err != nil {
		return err
	}
	if st.Stable == "" {
		return nil
	}
	return s.ensureStable(ctx, st, false)
}

// exchange is the operator's way back where instances are alone: the present
// one is stopped first, and started again if the other does not.
func (s *service) exchange(ctx context.Context, start func() error) error {
	var st state
	s.tell(func() { st = s.st.clone() })
	if !st.Alone {
		return start()
	}
	s.tell(func() { s.gap = s.g.now().Add(usualGap) })
	defer s.tell(func() { s.gap = time.Time{} })
	err := s.vacate(ctx, st.Stable)
	if err == nil {
		err = start()
	}
	if err == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	err = errors.Join(err, s.ensureStable(ctx, st, false))
	s.tell(func() { s.gap = time.Time{} })
	_, routed := s.apply(ctx)
	return errors.Join(err, routed)
}
