package recovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-shipper/shipper/service/log"
)

// ErrMaintenance says that work failed too often and is not started any more.
var ErrMaintenance = errors.New("maintenance mode")

// ErrHung says that work missed three heartbeats.
var ErrHung = errors.New("missed three heartbeats")

// ErrStuck says that work which hung did not end when it was told to. A
// goroutine cannot be ended from outside, so the process should end.
var ErrStuck = errors.New("hung and does not end")

// Work runs until ctx ends or it fails. beat tells that it is alive; where the
// Policy has a Heartbeat it is called at least so often.
type Work func(ctx context.Context, beat func()) error

// Supervisor starts work that failed again. Safe for concurrent use; each
// Supervisor runs one Work.
type Supervisor struct {
	name   string
	policy Policy
	log    *slog.Logger
	ledger *ledger

	mu          sync.Mutex
	last        error // of the work
	maintenance bool
	resumed     chan struct{} // capacity 1
}

// NewSupervisor names the work, for messages. log may be nil: slog.Default().
// Records that operators must see have a log.Event. Failures count from
// nothing; those of Crashes.Supervisor count together with the process's own.
func NewSupervisor(name string, p Policy, l *slog.Logger) *Supervisor {
	if l == nil {
		l = slog.Default()
	}
	return &Supervisor{name: name, policy: p.withDefaults(), log: l.With("work", name), ledger: &ledger{}, resumed: make(chan struct{}, 1)}
}

// Run runs the work until it returns nil or ctx ends, whose cause it returns.
// In maintenance mode it waits for Resume. A panic of the work is a failure
// like an error, with its stack in the log. ErrStuck is returned at once.
func (s *Supervisor) Run(ctx context.Context, work Work) error {
	restarts := 0
	for {
		if s.tooMany() {
			s.enter(ctx)
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-s.resumed:
				restarts = 0
			}
		}
		begun := time.Now()
		err := s.once(ctx, work)
		if err == nil || errors.Is(err, ErrStuck) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Since(begun) > s.policy.Window {
			restarts = 0
		}
		restarts++
		s.note(ctx, err, restarts)
		if !s.tooMany() && !sleep(ctx, s.policy.delay(restarts, rand.Float64())) {
			return context.Cause(ctx)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// once runs the work and watches its heartbeat.
func (s *Supervisor) once(ctx context.Context, work Work) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	beats := make(chan struct{}, 1)
	beat := func() {
		select {
		case beats <- struct{}{}:
		default:
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- guarded(ctx, work, beat) }()
	hung := make(<-chan time.Time)
	silence := time.NewTimer(time.Hour)
	defer silence.Stop()
	if s.policy.Heartbeat > 0 {
		silence.Reset(missedBeats * s.policy.Heartbeat)
		hung = silence.C
	}
	for {
		select {
		case err := <-ended:
			return err
		case <-beats:
			silence.Reset(missedBeats * s.policy.Heartbeat)
		case <-hung:
			s.log.ErrorContext(ctx, "work hangs", "heartbeat", s.policy.Heartbeat, log.Event(log.EventHung))
			cancel(ErrHung)
			return s.awaitEnd(ended)
		}
	}
}

func (s *Supervisor) awaitEnd(ended <-chan error) error {
	timer := time.NewTimer(s.policy.Grace)
	defer timer.Stop()
	select {
	case err := <-ended:
		if err == nil {
			return ErrHung
		}
		return fmt.Errorf("%w: %w", ErrHung, err)
	case <-timer.C:
		return fmt.Errorf("%s %w", s.name, ErrStuck)
	}
}

// guarded makes a failure of a panic.
func guarded(ctx context.Context, work Work, beat func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return work(ctx, beat)
}

// PanicError is a panic of supervised work.
type PanicError struct {
	Value any    // given to panic
	Stack []byte // of the goroutine that panicked
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap is the value, if the work panicked with an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

func (s *Supervisor) tooMany() bool {
	return s.ledger.count(time.Now().Add(-s.policy.Window)) >= s.policy.Failures
}

func (s *Supervisor) note(ctx context.Context, err error, restart int) {
	s.mu.Lock()
	s.last = err
	s.mu.Unlock()
	if failed := s.ledger.add(time.Now(), s.policy.Window); failed != nil {
		s.log.WarnContext(ctx, "failure could not be recorded", "error", failed)
	}
	attrs := []any{"error", err, "failures", s.ledger.count(time.Now().Add(-s.policy.Window)), "restart", restart}
	var p *PanicError
	if errors.As(err, &p) {
		attrs = append(attrs, "stack", string(p.Stack))
	}
	s.log.ErrorContext(ctx, "work failed", append(attrs, log.Event(log.EventRestarted))...)
}

func (s *Supervisor) enter(ctx context.Context) {
	s.mu.Lock()
	known, last := s.maintenance, s.last
	s.maintenance = true
	if !known {
		select {
		case <-s.resumed: // of a Resume that nobody waited for
		default:
		}
	}
	s.mu.Unlock()
	if known {
		return
	}
	s.log.ErrorContext(ctx, "maintenance mode: work failed too often and is not started until somebody resumes it",
		"failures", s.policy.Failures, "within", s.policy.Window.String(), "error", last, log.Event(log.EventMaintenance))
}

// Resume ends maintenance mode, and forgets the failures. An operator calls it
// when the reason is mended.
func (s *Supervisor) Resume() error {
	err := s.ledger.clear()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.maintenance {
		s.maintenance, s.last = false, nil
		select {
		case s.resumed <- struct{}{}:
		default:
		}
	}
	return err
}

// Check is ErrMaintenance, with the last failure, in maintenance mode, and nil
// otherwise; it serves as a health check.
func (s *Supervisor) Check(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.maintenance:
		return nil
	case s.last == nil:
		return fmt.Errorf("%s: %w", s.name, ErrMaintenance)
	}
	return fmt.Errorf("%s: %w: %w", s.name, ErrMaintenance, s.last)
}
