//go:build !windows

package winrm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/wsman"
	"github.com/go-shipper/shipper/transport"
)

// A wrong password is tried twice in the whole fleet, however many hosts ask
// at once, and then no more.
func TestFleetDoesNotLockAccounts(t *testing.T) {
	const hosts = 20
	var fleet []*host
	logons := &Logons{}
	var asked atomic.Int64
	for range hosts {
		fleet = append(fleet, startHostAs(t, wsman.Config{Password: func(string) (string, bool) {
			asked.Add(1)
			return testPassword, true
		}}))
	}
	var wg sync.WaitGroup
	for i, h := range fleet {
		cfg := h.http
		cfg.Host, cfg.Password, cfg.Logons = fmt.Sprintf("web%d", i), "wrong", logons
		wg.Go(func() {
			_, err := Dial(t.Context(), cfg)
			var e *transport.Error
			if !errors.As(err, &e) || e.Kind != transport.Denied || e.Hint == "" {
				t.Errorf("error %+v", err)
			}
		})
	}
	wg.Wait()
	if n := asked.Load(); n != maxRefusals {
		t.Errorf("%d attempts", n)
	}
	cfg := fleet[0].http
	cfg.Logons = logons
	dial(t, cfg).Close() // with the right one: these are other credentials
}

func TestLogons(t *testing.T) {
	ctx := t.Context()
	id := Credentials{User: "u"}.id(AuthNTLM)
	yes, no := func() error { return nil }, func() error { return errRefused }
	stopped := func(err error) bool {
		var s *stoppedError
		return errors.As(err, &s)
	}
	refused := func(err error, final bool) bool {
		var r *refusedError
		return errors.As(err, &r) && r.final == final
	}
	t.Run("a host of its own mind", func(t *testing.T) {
		var l Logons
		if err := l.try(ctx, "a", id, yes); err != nil {
			t.Fatal(err)
		}
		if err := l.try(ctx, "b", id, no); !refused(err, false) {
			t.Errorf("first: %v", err)
		}
		if err := l.try(ctx, "b", id, no); !refused(err, true) {
			t.Errorf("second: %v", err)
		}
		if err := l.try(ctx, "b", id, yes); !stopped(err) {
			t.Errorf("third: %v", err)
		}
		if err := l.try(ctx, "c", id, yes); !stopped(err) {
			t.Errorf("a host that never took them: %v", err)
		}
		if err := l.try(ctx, "a", id, yes); err != nil {
			t.Errorf("the host that took them: %v", err)
		}
	})
	t.Run("changed meanwhile", func(t *testing.T) {
		var l Logons
		for _, host := range []string{"a", "b"} {
			if err := l.try(ctx, host, id, yes); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.try(ctx, "a", id, no); !refused(err, false) {
			t.Errorf("first: %v", err)
		}
		if err := l.try(ctx, "b", id, no); !refused(err, true) {
			t.Errorf("second, by another host: %v", err)
		}
		if err := l.try(ctx, "a", id, yes); !stopped(err) {
			t.Errorf("third: %v", err)
		}
		if err := l.try(ctx, "a", Credentials{User: "u", Password: "new"}.id(AuthNTLM), yes); err != nil {
			t.Errorf("the new ones: %v", err)
		}
	})
	t.Run("forgiven", func(t *testing.T) {
		var l Logons
		for range 5 {
			if err := l.try(ctx, "a", id, no); !refused(err, false) {
				t.Errorf("refusal: %v", err)
			}
			if err := l.try(ctx, "a", id, yes); err != nil {
				t.Errorf("success: %v", err)
			}
		}
	})
	t.Run("other failures do not count", func(t *testing.T) {
		var l Logons
		other := errors.New("cut")
		for range 5 {
			if err := l.try(ctx, "a", id, func() error { return other }); !errors.Is(err, other) {
				t.Errorf("error %v", err)
			}
		}
	})
}

// While nobody knows whether credentials are right, one host tries them; whoever
// waits can leave.
func TestOneTriesWhileInDoubt(t *testing.T) {
	var l Logons
	id := Credentials{User: "u"}.id(AuthNTLM)
	inside, done := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- l.try(t.Context(), "a", id, func() error {
			close(inside)
			<-done
			return nil
		})
	}()
	<-inside
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if err := l.try(ctx, "b", id, func() error { return nil }); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
	close(done)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	both := make(chan struct{})
	var wg sync.WaitGroup
	for _, host := range []string{"b", "c"} { // proven now: both at once
		wg.Go(func() {
			err := l.try(t.Context(), host, id, func() error {
				select {
				case both <- struct{}{}:
				case <-both:
				case <-time.After(2 * time.Minute):
					return errors.New("alone")
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
