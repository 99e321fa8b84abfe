package service

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// rest is whether the service holds new work: /readyz says no, and jobs wait.
type rest struct {
	mu      sync.Mutex
	resting bool
	changed chan struct{} // closed at the next change
}

func (r *rest) current() (bool, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resting, r.changed
}

func (r *rest) set(resting bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resting != resting {
		r.resting = resting
		close(r.changed)
		r.changed = make(chan struct{})
	}
}

// Paused reports whether new work is held.
func (s *Service) Paused() bool {
	resting, _ := s.rest.current()
	return resting
}

// Pause holds new work: /readyz answers 503 and jobs wait; requests that come
// nevertheless are served. An app that is a [Pauser] is asked, and its error
// leaves the service running. Only a service that is RUNNING or DEGRADED can
// be paused.
func (s *Service) Pause(ctx context.Context) error {
	if state := s.State().To; state != Running && state != Degraded {
		return fmt.Errorf("pause: %w while %s", ErrTransition, state)
	}
	if p, ok := s.app.(Pauser); ok {
		if err := p.Pause(ctx); err != nil {
			return fmt.Errorf("pause: %w", err)
		}
	}
	s.rest.set(true)
	s.log.Info("paused")
	return nil
}

// Continue takes new work again after Pause or DRAIN.
func (s *Service) Continue(ctx context.Context) error {
	if p, ok := s.app.(Pauser); ok {
		if err := p.Continue(ctx); err != nil {
			return fmt.Errorf("continue: %w", err)
		}
	}
	s.rest.set(false)
	s.log.Info("continued")
	return nil
}

// InFlight is how many requests are being answered, as far as [Service.Handler]
// saw them, without those for probes.
func (s *Service) InFlight() int64 { return s.inFlight.Load() }

// drainLook is how often a drain looks at what is left.
const drainLook = 20 * time.Millisecond

// awaitIdle pauses and waits until no request is in flight, or ctx ends.
func (s *Service) awaitIdle(ctx context.Context) error {
	if err := s.Pause(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for s.InFlight() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("drain: %d requests are still in flight: %w", s.InFlight(), context.Cause(ctx))
		}
	}
	return nil
}
