package recovery

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestDelays(t *testing.T) {
	p := Policy{}.withDefaults()
	want := []time.Duration{0, 1, 2, 4, 8, 16, 32, 60, 60}
	for i, d := range want {
		if got := p.delay(i+1, 0); got != d*time.Second {
			t.Errorf("restart %d after %v, want %ds", i+1, got, d)
		}
		if got := p.delay(i+1, 0.999); got < d*time.Second*8/10 || got > d*time.Second {
			t.Errorf("restart %d after %v", i+1, got)
		}
	}
	if d := p.delay(1000, 0); d != p.MaxBackoff {
		t.Errorf("%v", d)
	}
}

// Immediately, then later and later, then not at all, until somebody says so.
func TestImmediateThenBackoffThenMaintenance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := NewSupervisor("sync", Policy{Failures: 4}, slog.New(slog.NewTextHandler(&out, nil)))
		begun := time.Now()
		starts := make(chan time.Duration, 100)
		ctx, stop := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		var mended atomic.Bool
		go func() {
			ended <- s.Run(ctx, func(ctx context.Context, _ func()) error {
				starts <- time.Since(begun)
				if mended.Load() {
					<-ctx.Done()
					return nil
				}
				if len(starts) == 2 {
					panic(io.ErrUnexpectedEOF)
				}
				return errors.New("database is away")
			})
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		earliest := []time.Duration{0, 0, 800 * time.Millisecond, 2400 * time.Millisecond}
		if len(starts) != 4 {
			t.Fatalf("%d starts", len(starts))
		}
		for i, low := range earliest {
			if at := <-starts; at < low || at > low*5/4 {
				t.Errorf("start %d at %v, want about %v", i+1, at, low)
			}
		}
		if err := s.Check(ctx); !errors.Is(err, ErrMaintenance) || !strings.Contains(err.Error(), "sync: maintenance mode: database is away") {
			t.Errorf("health: %v", err)
		}
		for _, want := range []string{"maintenance mode", "event_id=8", "event_id=7", "stack=", "panic: unexpected EOF"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the log has no %q:\n%s", want, out.String())
			}
		}
		mended.Store(true)
		if err := s.Resume(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if len(starts) != 1 || s.Check(ctx) != nil {
			t.Errorf("%d starts after resuming, health %v", len(starts), s.Check(ctx))
		}
		stop(io.EOF)
		if err := <-ended; err != nil {
			t.Errorf("%v", err)
		}
	})
}

// A Resume while nobody runs the work is not kept for the next maintenance.
func TestResumeBeforeTheWorkRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSupervisor("x", Policy{Failures: 2}, quiet())
		s.enter(t.Context()) // as after too many crashes
		if err := errors.Join(s.Resume(), s.Check(t.Context())); err != nil {
			t.Error(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		runs := 0
		err := s.Run(ctx, func(context.Context, func()) error { runs++; return io.EOF })
		if runs != 2 || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(s.Check(t.Context()), ErrMaintenance) {
			t.Errorf("%d runs, %v", runs, err)
		}
	})
}

// Failures that are far apart never end in maintenance.
func TestRareFailuresAreForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSupervisor("x", Policy{Failures: 2, Window: time.Minute}, quiet())
		runs := 0
		err := s.Run(t.Context(), func(context.Context, func()) error {
			time.Sleep(61 * time.Second)
			if runs++; runs == 50 {
				return nil
			}
			return io.EOF
		})
		if err != nil || runs != 50 || s.Check(t.Context()) != nil {
			t.Errorf("%v after %d runs", err, runs)
		}
	})
}

func TestThreeMissedHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSupervisor("x", Policy{Heartbeat: 10 * time.Second}, quiet())
		begun := time.Now()
		var hungAfter time.Duration
		runs := 0
		err := s.Run(t.Context(), func(ctx context.Context, beat func()) error {
			if runs++; runs == 2 {
				return nil
			}
			for range 10 { // late, but alive
				time.Sleep(29 * time.Second)
				beat()
			}
			<-ctx.Done()
			hungAfter = time.Since(begun)
			if context.Cause(ctx) != ErrHung {
				t.Errorf("told to end by %v", context.Cause(ctx))
			}
			return io.EOF
		})
		if err != nil || runs != 2 || hungAfter != 320*time.Second {
			t.Errorf("%v after %d runs, hung after %v", err, runs, hungAfter)
		}
	})
}

func TestWorkThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSupervisor("x", Policy{Heartbeat: time.Second, Grace: time.Minute}, quiet())
		release := make(chan struct{})
		begun := time.Now()
		err := s.Run(t.Context(), func(context.Context, func()) error { <-release; return nil })
		if !errors.Is(err, ErrStuck) || time.Since(begun) != 63*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		close(release)
	})
}

func TestEndOfTheServiceIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, policy := range map[string]Policy{"works": {}, "backs off": {Backoff: time.Hour, MaxBackoff: time.Hour}, "maintenance": {Failures: 1}} {
			s := NewSupervisor("x", policy, quiet())
			ctx, stop := context.WithCancelCause(t.Context())
			go func() {
				time.Sleep(time.Minute)
				stop(io.EOF)
			}()
			err := s.Run(ctx, func(ctx context.Context, _ func()) error {
				if name == "works" {
					<-ctx.Done()
				}
				return io.ErrUnexpectedEOF
			})
			if err != io.EOF {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
