package router

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

func TestWithoutReleaseAnswers503(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	r.put(Route{Service: name, Listen: r.listen})
	if code, text := r.get("/"); code != http.StatusServiceUnavailable || !strings.Contains(text, "no release") {
		t.Errorf("got %d %q", code, text)
	}
}

func TestWeightIsDrawnPerRequest(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Draw: seeded()})
	blue, green := backend(t, "blue"), backend(t, "green")
	for _, c := range []struct {
		weight   release.Weight
		min, max int // of 400 answered by green: 5 standard deviations
	}{{0, 0, 0}, {100, 1, 14}, {2500, 57, 143}, {10000, 400, 400}} {
		r.put(r.route(blue, green, c.weight))
		got := 0
		for range 400 {
			if r.ask("/") == "green" {
				got++
			}
		}
		if got < c.min || got > c.max {
			t.Errorf("weight %v: %d of 400 at the canary, want %d to %d", c.weight, got, c.min, c.max)
		}
	}
}

func TestDrawIsFair(t *testing.T) {
	t.Parallel()
	draw, hits := seeded(), 0
	table := &table{
		route: Route{Weight: 25, Lease: time.Hour}, deadline: time.Now().Add(time.Hour),
		stable: &instance{}, canary: &instance{},
	}
	const n = 1_000_000
	for range n {
		if table.pick(time.Now(), client{}, draw).in == table.canary {
			hits++
		}
	}
	// 0.25 % of a million: 2500, standard deviation 50.
	if hits < 2250 || hits > 2750 {
		t.Errorf("0.25%%: %d of %d", hits, n)
	}
}

func TestLeaseEndsByItself(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := start(t, Options{Now: c.Now})
	route := r.route(backend(t, "blue"), backend(t, "green"), release.Full)
	first := r.put(route)
	if _, text := r.get("/"); text != "green" {
		t.Fatalf("within the lease %q answers", text)
	}
	c.add(route.Lease / 2)
	renewed, err := r.Put(r.ctx, route, first.Generation)
	if err != nil || renewed.Remaining != route.Lease {
		t.Fatalf("renewal: %v, remaining %v", err, renewed.Remaining)
	}
	c.add(route.Lease - time.Nanosecond)
	if _, text := r.get("/"); text != "green" {
		t.Fatalf("within the renewed lease %q answers", text)
	}
	c.add(time.Nanosecond)
	if _, text := r.get("/"); text != "blue" {
		t.Errorf("after the lease %q answers", text)
	}
	v := r.view()
	if !v.Expired || v.Weight != 0 || v.Remaining != 0 {
		t.Errorf("view after the lease: %+v", v)
	}
	if _, err := r.Put(r.ctx, route, renewed.Generation); !errors.Is(err, ErrStale) {
		t.Errorf("a renewal by who has not seen the expiry: %v, want ErrStale", err)
	}
	c.add(-24 * time.Hour) // and a clock that jumps back harms nobody who reads the view
	if _, err := r.Put(r.ctx, r.route(route.Slots[release.Blue], "", 0), r.view().Generation); err != nil {
		t.Error(err)
	}
}

func TestRestartDropsTheWeight(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	blue, green := backend(t, "blue"), backend(t, "green")
	before := r.put(r.route(blue, green, release.Full))
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, Options{Dir: r.dir})
	again.listen = r.listen
	if _, text := again.get("/"); text != "blue" {
		t.Errorf("after a restart %q answers", text)
	}
	v := again.view()
	if v.Weight != 0 || v.Stable != release.Blue || v.Epoch == before.Epoch || v.Generation <= before.Generation {
		t.Errorf("after a restart: %+v, before: %+v", v, before)
	}
}

func TestStaleChangesAreRefused(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	route := r.route(backend(t, "blue"), "", 0)
	if _, err := r.Put(r.ctx, route, 1); !errors.Is(err, ErrStale) {
		t.Errorf("creating with a generation: %v", err)
	}
	v := r.put(route)
	if _, err := r.Put(r.ctx, route, 0); !errors.Is(err, ErrStale) {
		t.Errorf("creating what is there: %v", err)
	}
	if err := r.Delete(r.ctx, name, v.Generation-1); !errors.Is(err, ErrStale) {
		t.Errorf("deleting by an old view: %v", err)
	}
	if got := r.view().Generation; got != v.Generation {
		t.Errorf("refused changes moved the generation from %d to %d", v.Generation, got)
	}
	if err := r.Delete(r.ctx, name, v.Generation); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(r.ctx, name); !errors.Is(err, ErrNotFound) {
		t.Errorf("after delete: %v", err)
	}
	if views, err := r.List(r.ctx); err != nil || len(views) != 0 {
		t.Errorf("list after delete: %v, %v", views, err)
	}
	if _, err := http.Get(r.url("/")); err == nil {
		t.Error("the public address is still served after delete")
	}
}

func TestTakenPortKeepsTheOldRoute(t *testing.T) {
	t.Parallel()
	r, other := start(t, Options{}), start(t, Options{})
	blue := backend(t, "blue")
	other.put(other.route(blue, "", 0))
	v := r.put(r.route(blue, "", 0))

	moved := r.route(blue, "", 0)
	moved.Listen = other.listen
	_, err := r.Put(r.ctx, moved, v.Generation)
	if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), other.listen) || problem.HintOf(err) == "" {
		t.Errorf("two routers on one port: %v, hint %q", err, problem.HintOf(err))
	}
	if now := r.view(); now.Listen != r.listen || now.Generation != v.Generation {
		t.Errorf("the refused change left %+v", now)
	}
	if code, _ := r.get("/"); code != http.StatusOK {
		t.Errorf("the old address answers %d", code)
	}

	moved.Listen = ":" + r.listen[strings.LastIndexByte(r.listen, ':')+1:]
	if _, err := r.Put(r.ctx, moved, v.Generation); !errors.Is(err, ErrConflict) {
		t.Errorf("an address that overlaps with the service's own: %v", err)
	}
	second := r.route(blue, "", 0)
	second.Service = "invoices"
	if _, err := r.Put(r.ctx, second, 0); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), name) {
		t.Errorf("two services on one port: %v", err)
	}
}

func TestListenMoves(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	route := r.route(backend(t, "blue"), "", 0)
	r.put(route)
	old := r.listen
	r.listen = freeAddr(t)
	route.Listen = r.listen
	r.put(route)
	if _, text := r.get("/"); text != "blue" {
		t.Errorf("the new address answers %q", text)
	}
	r.eventually("the old address is free", func() bool {
		res, err := http.Get("http://" + old + "/")
		if err == nil {
			res.Body.Close()
		}
		return err != nil
	})
}

func TestAnAddressThatIsTakenAtTheStartIsServedOnceFree(t *testing.T) {
	t.Parallel()
	r, squatter := start(t, Options{}), start(t, Options{})
	blue := backend(t, "blue")
	r.put(r.route(blue, "", 0))
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	squatter.listen = r.listen
	squatter.put(squatter.route(blue, "", 0))

	again := start(t, Options{Dir: r.dir})
	again.listen = r.listen
	if v := again.view(); !strings.Contains(v.Problem, r.listen) {
		t.Errorf("problem %q does not name the address", v.Problem)
	}
	if err := squatter.stop(); err != nil {
		t.Fatal(err)
	}
	again.eventually("the address is taken", func() bool { return again.view().Problem == "" })
	if _, text := again.get("/"); text != "blue" {
		t.Errorf("%q answers", text)
	}
}

func TestBoot(t *testing.T) {
	t.Parallel()
	for _, boot := range []string{BootHold, BootRefuse} {
		t.Run(boot, func(t *testing.T) {
			t.Parallel()
			r := start(t, Options{})
			blue := freeAddr(t) // nobody there yet
			route := r.route(blue, "", 0)
			route.Boot = boot
			r.put(route)
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			again := start(t, Options{Dir: r.dir})
			again.listen = r.listen
			if again.view().Ready {
				t.Fatal("ready without stable")
			}
			if boot == BootRefuse {
				again.expectRefusal()
			}
			answer := make(chan string, 1)
			if boot == BootHold {
				go func() {
					_, text := again.get("/")
					answer <- text
				}()
			}
			serveAt(t, blue, say("blue"))
			again.eventually("ready", func() bool { return again.view().Ready })
			if boot == BootRefuse {
				_, text := again.get("/")
				answer <- text
			}
			if text := <-answer; text != "blue" {
				t.Errorf("%q answers", text)
			}
		})
	}
}

func (r *rig) expectRefusal() {
	r.t.Helper()
	res, err := http.Get(r.url("/"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		r.t.Errorf("refused with %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
	}
}

func TestHoldEnds(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	r.put(r.route(freeAddr(t), "", 0))
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, Options{Dir: r.dir, Hold: time.Millisecond})
	again.listen = r.listen
	again.expectRefusal()
}

func TestControlFileIsPrivateAndGoesAway(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	path := filepath.Join(r.dir, controlName)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("control.json: %v, %v", info.Mode(), err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("control.json after the end: %v", err)
	}
	if _, err := r.List(r.ctx); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a call after the end: %v", err)
	}
}
