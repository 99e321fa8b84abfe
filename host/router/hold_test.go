package router

import (
	"net/http"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// holding is a router whose route holds, on a clock that a test moves.
func holding(t *testing.T, limit int) (r *rig, route Route, c *clock, after chan time.Time) {
	t.Helper()
	c, after = newClock(), make(chan time.Time)
	r = start(t, Options{Now: c.Now, After: func(d time.Duration) <-chan time.Time {
		switch {
		case d > time.Minute: // the next check of an instance
			return nil
		case d == notice:
			return time.After(0)
		}
		return after
	}})
	route = r.route(backend(t, "blue"), backend(t, "green"), 0)
	route.Health = rpc.Health{HTTP: "/healthz", Interval: time.Hour}
	route.Hold, route.HoldLimit = time.Minute, limit
	r.put(route)
	return r, route, c, after
}

// ask begins a request and tells what came of it.
func (r *rig) begin(path string) <-chan string {
	answered := make(chan string, 1)
	go func() {
		code, text, err := r.fetch(path, true)
		if err != nil {
			text = err.Error()
		}
		answered <- http.StatusText(code) + ": " + text
	}()
	return answered
}

func TestHeldRequestsWaitForTheNextRoute(t *testing.T) {
	t.Parallel()
	r, route, _, _ := holding(t, 2)
	first, second := r.begin("/"), r.begin("/")
	r.eventually("both wait", func() bool { return r.view().Waiting == 2 })
	if code, _ := r.get("/"); code != http.StatusServiceUnavailable {
		t.Errorf("one too many got %d", code)
	}
	if code, text := r.get("/healthz"); code != http.StatusOK || text == "blue" {
		t.Errorf("the load balancer got %d, %q", code, text)
	}
	route.Hold, route.Stable, route.Canary = 0, release.Green, ""
	r.put(route)
	for _, answer := range []<-chan string{first, second} {
		if got := <-answer; got != "OK: green" {
			t.Errorf("after the hold: %q", got)
		}
	}
	if v := r.view(); v.Held != 0 || v.Waiting != 0 {
		t.Errorf("%v held, %d waiting", v.Held, v.Waiting)
	}
}

func TestHoldEndsByItself(t *testing.T) {
	t.Parallel()
	r, _, c, after := holding(t, 0)
	answer := r.begin("/")
	r.eventually("it waits", func() bool { return r.view().Waiting == 1 })
	c.add(time.Minute)
	close(after)
	if got := <-answer; got != "OK: blue" {
		t.Errorf("after the time: %q", got)
	}
	if _, text := r.get("/"); text != "blue" {
		t.Errorf("a new one gets %q", text)
	}
}

func TestHoldIsCarriedAndNotKept(t *testing.T) {
	t.Parallel()
	r, _, c, _ := holding(t, 0)
	c.add(20 * time.Second)
	next := r.follow(Options{Now: c.Now})
	if held := next.view().Held; held > 40*time.Second || held < 39*time.Second {
		t.Errorf("after a hand-over %v of the hold are left, want 40s", held)
	}
	if err := next.stop(); err != nil {
		t.Fatal(err)
	}
	last := start(t, Options{Dir: r.dir})
	if held := last.view().Held; held != 0 {
		t.Errorf("after a start %v are held", held)
	}
}

// TestEndIsAnnounced: where a load balancer looks, the health path fails
// before anything else ends.
func TestEndIsAnnounced(t *testing.T) {
	t.Parallel()
	told, after := make(chan struct{}), make(chan time.Time)
	r := start(t, Options{After: func(d time.Duration) <-chan time.Time {
		if d == notice {
			close(told)
			return after
		}
		return nil
	}})
	route := r.route(backend(t, "blue"), "", 0)
	route.Health = rpc.Health{HTTP: "/healthz", Interval: time.Hour}
	r.put(route)
	if code, _ := r.get("/healthz"); code != http.StatusOK {
		t.Fatalf("healthy: %d", code)
	}
	go func() { _ = r.stop() }()
	<-told
	if code, _ := r.get("/healthz"); code != http.StatusServiceUnavailable {
		t.Errorf("the load balancer gets %d", code)
	}
	if code, text := r.get("/"); code != http.StatusOK || text != "blue" {
		t.Errorf("others get %d, %q", code, text)
	}
	close(after)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}
