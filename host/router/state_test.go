package router

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

func newStore(t *testing.T) store {
	t.Helper()
	return store{t.TempDir(), slog.New(slog.DiscardHandler)}
}

func sample(service, listen string) Route {
	return Route{
		Service: service, Listen: listen, Stable: release.Blue,
		Slots: map[release.Slot]string{release.Blue: "127.0.0.1:7001", release.Green: "127.0.0.1:7002"},
	}.withDefaults()
}

func TestStateRoundTrip(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if got, err := s.load(); err != nil || got != nil {
		t.Fatalf("an empty folder gives %v, %v", got, err)
	}
	for _, want := range [][]Route{{sample("a", ":80"), sample("b", ":81")}, {}, {sample("b", ":80")}} {
		if err := s.save(want); err != nil {
			t.Fatal(err)
		}
		if got, err := s.load(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("load gives %+v, %v, want %+v", got, err, want)
		}
	}
	left, err := filepath.Glob(filepath.Join(s.dir, "tmp-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestADamagedStateGivesThePreviousOne(t *testing.T) {
	t.Parallel()
	previous, newest := []Route{sample("old", ":80")}, []Route{sample("new", ":80")}
	for what, damage := range map[string]func(t *testing.T, path string){
		"cut":   func(t *testing.T, path string) { rewrite(t, path, func(s string) string { return s[:len(s)/2] }) },
		"empty": func(t *testing.T, path string) { rewrite(t, path, func(string) string { return "" }) },
		"changed": func(t *testing.T, path string) {
			rewrite(t, path, func(s string) string { return strings.Replace(s, `"stable": "blue"`, `"stable": "green"`, 1) })
		},
		"newer": func(t *testing.T, path string) {
			rewrite(t, path, func(s string) string { return strings.Replace(s, `"protocol": 1`, `"protocol": 2`, 1) })
		},
		"missing": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			for _, routes := range [][]Route{previous, newest} {
				if err := s.save(routes); err != nil {
					t.Fatal(err)
				}
			}
			damage(t, filepath.Join(s.dir, stateName))
			got, err := s.load()
			if err != nil || !reflect.DeepEqual(got, previous) {
				t.Fatalf("load gives %+v, %v", got, err)
			}
			if err := s.save(newest); err != nil {
				t.Fatal(err)
			}
			if got, err := s.load(); err != nil || !reflect.DeepEqual(got, newest) {
				t.Errorf("after the next save: %+v, %v", got, err)
			}
		})
	}
}

func TestADamagedStateWithoutPreviousIsAnError(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	path := filepath.Join(s.dir, stateName)
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.load(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("load: %v, want an error that names %s", err, path)
	}
	if err := New(Options{Dir: s.dir}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("run: %v, want an error that names %s", err, path)
	}
}

func rewrite(t *testing.T, path string, change func(string) string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(string(data))
	if changed == string(data) {
		t.Fatal("nothing was damaged")
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyLastingChangesAreWritten(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	blue, green := backend(t, "blue"), backend(t, "green")
	route := r.route(blue, green, 0)
	r.put(route)
	path := filepath.Join(r.dir, stateName)
	before := fileOf(t, path)
	route.Weight, route.Lease = 500, route.DrainTimeout
	r.put(route)
	if after := fileOf(t, path); !os.SameFile(before, after) {
		t.Error("a weight was written")
	}
	route.Stable, route.Canary, route.Weight = release.Green, "", 0
	r.put(route)
	if after := fileOf(t, path); os.SameFile(before, after) {
		t.Error("a new stable was not written")
	}
	if routes, err := r.store().load(); err != nil || routes[0].Stable != release.Green {
		t.Errorf("written: %+v, %v", routes, err)
	}
}

func TestAWeightInTheStateIsNotHonoured(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	route := sample(name, freeAddr(t))
	route.Canary, route.Weight, route.Lease = release.Green, release.Full, maxLease
	if err := s.save([]Route{route}); err != nil {
		t.Fatal(err)
	}
	r := start(t, Options{Dir: s.dir})
	if v := r.view(); v.Weight != 0 || v.Canary != "" || v.Stable != release.Blue {
		t.Errorf("restored %+v", v)
	}
}

func TestAStateThatCannotBeWrittenChangesNothing(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	route := r.route(backend(t, "blue"), backend(t, "green"), 0)
	v := r.put(route)
	// A folder in the way fails for root too.
	inTheWay := filepath.Join(r.dir, previousName)
	full := filepath.Join(inTheWay, "full")
	if err := os.MkdirAll(full, 0o700); err != nil {
		t.Fatal(err)
	}
	route.Stable, route.Canary = release.Green, ""
	if _, err := r.Put(r.ctx, route, v.Generation); err == nil {
		t.Fatal("put says it worked")
	}
	if _, text := r.get("/"); text != "blue" || r.view().Generation != v.Generation {
		t.Errorf("%q answers, view %+v", text, r.view())
	}
	if err := errors.Join(os.Remove(full), os.Remove(inTheWay)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Put(r.ctx, route, v.Generation); err != nil {
		t.Error(err)
	}
}

// A disk that takes nothing keeps nobody from falling back to stable, nor a
// weight from being set: neither is written.
func TestALeaseEndsWithoutADisk(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := start(t, Options{Now: c.Now})
	route := r.route(backend(t, "blue"), backend(t, "green"), 0)
	r.put(route)
	if err := os.MkdirAll(filepath.Join(r.dir, previousName, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	route.Canary, route.Weight, route.Lease = release.Green, release.Full, time.Minute
	v := r.put(route)
	if _, text := r.get("/"); text != "green" {
		t.Fatalf("within the lease %q answers", text)
	}
	commit := route
	commit.Stable, commit.Canary, commit.Weight, commit.Lease = release.Green, "", 0, 0
	if _, err := r.Put(r.ctx, commit, v.Generation); err == nil {
		t.Fatal("a commit that cannot be written says it worked")
	}
	if _, text := r.get("/"); text != "green" {
		t.Errorf("after the commit that failed %q answers, within the lease", text)
	}
	c.add(route.Lease)
	if _, text := r.get("/"); text != "blue" || !r.view().Expired {
		t.Errorf("after the lease %q answers, view %+v", text, r.view())
	}
}

// The system's clock, set back, moves a deadline only if it was kept as wall
// time alone: a time without the monotonic reading is.
func TestALeaseIsTimedByTheMonotonicClock(t *testing.T) {
	t.Parallel()
	s := newService(name, "epoch", New(Options{Dir: t.TempDir()}).env)
	route := sample(name, ":80")
	route.Canary, route.Weight, route.Lease = release.Green, release.Full, time.Minute
	s.apply(route, 1)
	deadline := s.table.Load().deadline
	if deadline == deadline.Round(0) {
		t.Errorf("the lease ends at %v, a wall time", deadline)
	}
}

func (r *rig) store() store { return store{r.dir, slog.New(slog.DiscardHandler)} }

func fileOf(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"protocol":1,"sum":"","routes":[]}`))
	f.Add([]byte(`{"protocol":1,"sum":"4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945","routes":[]}`))
	f.Add([]byte(`{"protocol":1,"routes":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		routes, err := decodeState(data)
		if err != nil {
			return
		}
		for _, r := range routes {
			if err := r.Validate(); err != nil {
				t.Errorf("restored an invalid route: %v", err)
			}
		}
	})
}
