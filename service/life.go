package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// bind gives the context of the service's life, below ctx.
func (s *Service) bind(ctx context.Context) context.Context {
	ctx, s.cancel = context.WithCancelCause(context.WithValue(ctx, contextKey{}, s))
	return ctx
}

// live is the whole life of the service, whoever runs it: parts, app, what
// goes on beside it, and the end of all of them. asked is that of bind: when
// it ends, the state is STOPPING first, and only then the app hears of it.
func (s *Service) live(asked context.Context) error {
	ctx, tell := context.WithCancelCause(context.WithoutCancel(asked))
	defer tell(errEnded)
	defer context.AfterFunc(asked, func() {
		cause := context.Cause(asked)
		s.end(cause.Error())
		tell(cause)
	})()
	for _, f := range s.o.onRole {
		s.roles.watch(f)
	}
	stopParts, err := s.startParts(ctx)
	if err == nil {
		err = s.liveWithParts(ctx)
	} else {
		err = s.verdict(ctx, err)
	}
	s.ended(err)
	err = errors.Join(err, stopParts())
	s.enterLogged(Stopped, "the end")
	return err
}

func (s *Service) liveWithParts(ctx context.Context) error {
	aside, cancel := context.WithCancelCause(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { s.roles.follow(aside) })
	s.health.run(aside, &beside)
	for _, j := range s.o.jobs {
		beside.Go(func() { s.runJob(aside, j) })
	}
	closeControl, err := s.openControl(aside)
	if err == nil {
		err = s.supervise(ctx)
		s.ended(err)
	}
	cancel(errEnded)
	closeControl()
	return errors.Join(err, s.await(ctx, "jobs", beside.Wait))
}

// supervise runs the app until it ends, or does not end in time.
func (s *Service) supervise(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- body(s.app)(ctx, s) }()
	late := time.NewTimer(s.o.start)
	defer late.Stop()
	for ready := s.ready; ; {
		select {
		case <-ready:
			ready = nil
			late.Stop()
		case <-late.C:
			s.Fail(fmt.Errorf("%w of %s: does it call Ready?", ErrNotReady, s.o.start))
		case err := <-ended:
			return s.verdict(ctx, err)
		case <-ctx.Done():
			select {
			case err := <-ended:
				return s.verdict(ctx, err)
			case <-time.After(s.left() + stopMargin):
				return errors.Join(s.verdict(ctx, nil), fmt.Errorf("%w of %s", ErrStuck, s.o.drain))
			}
		}
	}
}

// verdict is how the life of the app is judged: an error that only repeats
// why it was stopped is none.
func (s *Service) verdict(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	repeats := cause != nil && (errors.Is(err, context.Canceled) || errors.Is(err, cause))
	failed := s.failed.Load()
	switch {
	case failed != nil && (repeats || errors.Is(err, *failed)):
		return *failed
	case failed != nil:
		return errors.Join(*failed, err)
	case repeats:
		return nil
	default:
		return err
	}
}

// end is the step to STOPPING, once; from there on the drain time runs.
func (s *Service) end(reason string) {
	s.ending.Do(func() {
		until := time.Now().Add(s.o.drain)
		s.deadline.Store(&until)
		s.enterLogged(Stopping, reason)
	})
}

// ended is the end of an app that was not told to.
func (s *Service) ended(err error) {
	reason := "the app ended"
	if err != nil {
		reason = err.Error()
	}
	s.end(reason)
	s.cancel(errEnded)
}

func (s *Service) enterLogged(to State, reason string) {
	if err := s.machine.enter(to, reason); err != nil {
		s.log.Error("state", "error", err)
	}
}

// left is what remains of the drain time.
func (s *Service) left() time.Duration {
	if d := s.deadline.Load(); d != nil {
		return max(0, time.Until(*d))
	}
	return s.o.drain
}

// await waits for what must end within the drain time too.
func (s *Service) await(ctx context.Context, what string, wait func()) error {
	done := make(chan struct{})
	go func() { wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-time.After(s.left() + stopMargin):
		return fmt.Errorf("%s: %w of %s", what, ErrStuck, s.o.drain)
	}
}

// startParts starts them in order, and gives what stops those that started.
func (s *Service) startParts(ctx context.Context) (func() error, error) {
	var started []App
	stop := func() error {
		limited, cancel := s.Drain(ctx)
		defer cancel()
		var all error
		for _, p := range slices.Backward(started) {
			all = errors.Join(all, p.Stop(limited))
		}
		return all
	}
	for _, p := range s.o.parts {
		if err := p.Start(ctx); err != nil {
			return stop, fmt.Errorf("start %T: %w", p, err)
		}
		started = append(started, p)
	}
	return stop, nil
}
