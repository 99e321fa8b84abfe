package router

import (
	"errors"
	"testing"
	"time"
	"unsafe"

	"github.com/go-shipper/shipper/release"
)

// moved sets the system's clock, as far as t shows it: its monotonic reading
// stands still. The seconds are in the upper half of the first word.
func moved(t time.Time, d time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(d/time.Second) << 30
	return t
}

func TestMovedMovesOneClock(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, d := range []time.Duration{time.Hour, -time.Hour} {
		if then := moved(now, d); then.Sub(now) != 0 || then.Round(0).Sub(now.Round(0)) != d {
			t.Errorf("by %v: monotonic %v, wall %v", d, then.Sub(now), then.Round(0).Sub(now.Round(0)))
		}
	}
}

func (c *clock) set(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = moved(c.now, d)
}

// After a sleep that was longer than its lease a canary gets no request:
// neither where the monotonic clock goes on meanwhile, as that of Windows does,
// nor where it stands still, as Linux' does, and every clock of a virtual
// machine that is halted and told the time when it goes on.
func TestALeaseEndsWhileTheHostSleeps(t *testing.T) {
	t.Parallel()
	for what, sleep := range map[string]func(*clock, time.Duration){
		"all clocks go on":       (*clock).add,
		"one clock stands still": (*clock).set,
	} {
		c := newClock()
		r := start(t, Options{Now: c.Now})
		route := r.route(backend(t, "blue"), backend(t, "green"), release.Full)
		before := r.put(route)
		sleep(c, route.Lease/2)
		if _, text := r.get("/"); text != "green" {
			t.Fatalf("%s: within the lease %q answers", what, text)
		}
		sleep(c, time.Hour)
		if _, text := r.get("/"); text != "blue" {
			t.Errorf("%s: after the sleep %q answers", what, text)
		}
		if v := r.view(); !v.Expired || v.Weight != 0 || v.Remaining != 0 {
			t.Errorf("%s: view after the sleep %+v", what, v)
		}
		if _, err := r.Put(r.ctx, route, before.Generation); !errors.Is(err, ErrStale) {
			t.Errorf("%s: a renewal by who slept too: %v, want ErrStale", what, err)
		}
	}
}

func TestAClockThatIsSetBackProlongsNoLease(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := start(t, Options{Now: c.Now})
	route := r.route(backend(t, "blue"), backend(t, "green"), release.Full)
	r.put(route)
	c.set(-time.Hour)
	if _, text := r.get("/"); text != "green" {
		t.Fatalf("within the lease %q answers", text)
	}
	c.add(route.Lease)
	if _, text := r.get("/"); text != "blue" {
		t.Errorf("after the lease %q answers", text)
	}
}
