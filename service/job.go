package service

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ErrRole is the cause by which the context of a singleton job ends when this
// instance is no longer the confirmed stable one.
var ErrRole = errors.New("this instance is not the stable one any more")

// Job is periodic work. Runs of one job never overlap, wait while the service
// is paused, and end with the service: it waits for them within the drain time.
type Job struct {
	// Name is what logs call it.
	Name string
	// Every is the time between the end of one run and the begin of the next;
	// above zero.
	Every time.Duration
	// Jitter spreads Every evenly by this share in both directions, so that
	// instances do not run in step: 0 to 1. Default 0.1; below zero is none.
	Jitter float64
	// Timeout bounds one run. Default: none.
	Timeout time.Duration
	// Singleton work runs in the confirmed stable instance only: not in a
	// canary, not in a replaced release that is kept warm, and not where the
	// role is unknown. It begins one second after the promotion, and its
	// context ends with ErrRole within half a second of a demotion; it must
	// return then, as shipper promotes the other instance right after.
	Singleton bool
	// Run does the work. An error is logged.
	Run func(ctx context.Context) error
}

func checkJobs(jobs []Job) error {
	var all error
	for _, j := range jobs {
		if j.Name == "" || j.Every <= 0 || j.Run == nil || j.Jitter > 1 {
			all = errors.Join(all, fmt.Errorf("job %q: want a name, Every above zero, Jitter up to 1, and Run", j.Name))
		}
	}
	return all
}

func (j Job) pause() time.Duration {
	share := j.Jitter
	if share == 0 {
		share = 0.1
	}
	if share < 0 {
		return j.Every
	}
	return time.Duration(float64(j.Every) * (1 + share*(2*rand.Float64()-1)))
}

// runJob runs it until ctx ends, when the service is ready and may run it.
func (s *Service) runJob(ctx context.Context, j Job) {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return
	}
	for {
		allowed, cancel, ok := s.allow(ctx, j.Singleton)
		if !ok {
			return
		}
		s.runWhile(ctx, allowed, j)
		cancel()
	}
}

// allow waits until the job may run, and gives a context that ends when it
// may not any more; false when ctx ends.
func (s *Service) allow(ctx context.Context, singleton bool) (context.Context, func(), bool) {
	if !singleton {
		return ctx, func() {}, ctx.Err() == nil
	}
	for ctx.Err() == nil {
		role, changed := s.roles.current()
		if role != Stable {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		allowed, cancel := context.WithCancelCause(ctx)
		go func() {
			select {
			case <-changed:
				cancel(ErrRole)
			case <-allowed.Done():
			}
		}()
		if s.o.roleFile == "" || sleep(allowed, settle) {
			return allowed, func() { cancel(nil) }, true
		}
		cancel(nil)
	}
	return nil, nil, false
}

// runWhile runs the job again and again while allowed lives.
func (s *Service) runWhile(ctx, allowed context.Context, j Job) {
	for sleep(allowed, j.pause()) && s.awaitWork(allowed) {
		if j.Singleton && s.Role() != Stable {
			return // by the file itself, which the watch may not have read yet
		}
		s.runOnce(ctx, allowed, j)
	}
}

func (s *Service) runOnce(ctx, allowed context.Context, j Job) {
	run, cancel := allowed, context.CancelFunc(func() {})
	if j.Timeout > 0 {
		run, cancel = context.WithTimeoutCause(allowed, j.Timeout, fmt.Errorf("job took longer than %s", j.Timeout))
	}
	defer cancel()
	err := j.Run(run)
	switch {
	case err == nil:
	case ctx.Err() != nil, errors.Is(context.Cause(allowed), ErrRole):
		s.log.Info("job cut short", "job", j.Name, "why", context.Cause(allowed))
	default:
		s.log.Error("job failed", "job", j.Name, "error", err)
	}
}

// awaitWork waits while the service is paused; false when ctx ends.
func (s *Service) awaitWork(ctx context.Context) bool {
	for {
		resting, changed := s.rest.current()
		if !resting {
			return ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
