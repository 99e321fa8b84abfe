package service

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// lived runs a service beside a story and ends it.
func lived(t *testing.T, during func(s *Service, told *story), opts ...Option) *story {
	t.Helper()
	s, ctx, told := begin(t, readyFunc(), opts...)
	ended := make(chan error, 1)
	go func() { ended <- s.live(ctx) }()
	synctest.Wait()
	during(s, told)
	s.Stop(nil)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return told
}

// A dependency degrades after its third failure in a row, not by single ones,
// and is trusted again after two successes.
func TestDependencyWithHysteresis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down box[error]
		var events box[[]HealthEvent]
		c := Dependency("db", func(context.Context) error { return down.get() })
		failing := errors.New("connection refused")
		lived(t, func(s *Service, told *story) {
			at := func(d time.Duration, err error, want State) {
				t.Helper()
				down.set(err)
				pass(d)
				if got := s.State().To; got != want {
					t.Errorf("%s: %s, want %s", told, got, want)
				}
			}
			at(time.Second, nil, Running)       // looked at 0
			at(5*time.Second, failing, Running) // 1st failure
			at(5*time.Second, failing, Running) // 2nd
			at(5*time.Second, nil, Running)     // a single success forgets them
			at(10*time.Second, failing, Running)
			at(5*time.Second, failing, Degraded)
			if !strings.Contains(s.State().Reason, "db: connection refused") || !s.ReadyForWork() {
				t.Errorf("reason %q, ready %v", s.State().Reason, s.ReadyForWork())
			}
			at(5*time.Second, nil, Degraded)     // one success
			at(5*time.Second, failing, Degraded) // and it was nothing
			at(5*time.Second, nil, Degraded)
			at(5*time.Second, nil, Running)
		}, WithChecks(c), OnHealth(func(e HealthEvent) { events.set(append(events.get(), e)) }))
		e := events.get()
		if len(e) != 2 || !e[0].Failing || e[0].Reason != failing.Error() || e[1].Failing || e[1].Check != "db" {
			t.Errorf("events %+v", e)
		}
	})
}

func TestGaugeWithHysteresis(t *testing.T) {
	value := 0.0
	c := Gauge("cpu", "%", 90, 80, func(context.Context) (float64, error) { return value, nil })
	for _, step := range []struct {
		value float64
		bad   bool
	}{{10, false}, {89, false}, {90, true}, {85, true}, {80, true}, {79.9, false}, {85, false}, {95, true}} {
		value = step.value
		if err := c.Probe(t.Context()); (err != nil) != step.bad {
			t.Errorf("at %g: %v", step.value, err)
		}
	}
}

// The checks that the kit has do what their names promise, at the times that
// they promise.
func TestDefaultsOfTheChecks(t *testing.T) {
	none := func(context.Context) error { return nil }
	for _, tt := range []struct {
		check    Check
		every    time.Duration
		failures int
		action   Action
	}{
		{CPU(), 10 * time.Second, 1, Degrade},
		{Memory(), 10 * time.Second, 1, Alert},
		{Dependency("db", none), 5 * time.Second, 3, Degrade},
		{DiskWait(t.TempDir(), time.Minute), 10 * time.Second, 3, Alert},
		{Check{Name: "own", Probe: none}, 10 * time.Second, 1, Alert},
	} {
		c := withDefaults(tt.check)
		if c.Every != tt.every || c.Failures != tt.failures || c.Action != tt.action || c.Successes != 2 || c.Timeout != 5*time.Second {
			t.Errorf("%s: %+v", c.Name, c)
		}
	}
	for _, c := range []Check{DiskWait(t.TempDir(), time.Minute), Gauge("memory", "%", 101, 100, percentOfMemory)} {
		if err := c.Probe(t.Context()); err != nil {
			t.Errorf("%s on this machine: %v", c.Name, err)
		}
	}
	if err := DiskWait(t.TempDir(), 0).Probe(t.Context()); err == nil {
		t.Error("no disk takes no time")
	}
	if err := DiskWait(t.TempDir()+"/none", time.Minute).Probe(t.Context()); err == nil {
		t.Error("a folder that is not there is well")
	}
}

func percentOfMemory(context.Context) (float64, error) {
	return 0, Memory().Probe(context.Background())
}

// Each action shows where it is meant to.
func TestActions(t *testing.T) {
	for action, want := range map[Action]struct {
		state          State
		ready, healthy int
		status         string
	}{
		Alert:   {Running, 200, 200, "ok"},
		Degrade: {Degraded, 200, 200, "degraded"},
		Unready: {Degraded, 503, 503, "unavailable"},
	} {
		synctest.Test(t, func(t *testing.T) {
			bad := Check{Name: "bad", Action: action, Probe: func(context.Context) error { return errors.New("broken") }}
			told := lived(t, func(s *Service, _ *story) {
				pass(time.Second)
				if got := s.State().To; got != want.state {
					t.Errorf("%s: state %s", action, got)
				}
				ready, _ := probe(t, s, "/readyz")
				healthy, report := probe(t, s, "/healthz")
				alive, _ := probe(t, s, "/livez")
				if ready != want.ready || healthy != want.healthy || alive != 200 || report.Status != want.status {
					t.Errorf("%s: ready %d, healthy %d, alive %d, %+v", action, ready, healthy, alive, report)
				}
				if len(report.Checks) != 1 || !report.Checks[0].Failing || report.Checks[0].Error != "broken" {
					t.Errorf("%s: %+v", action, report.Checks)
				}
			}, WithChecks(bad))
			if !strings.Contains(told.logged(), "health check fails") {
				t.Errorf("%s: logged %s", action, told.logged())
			}
		})
	}
}

func probe(t *testing.T, s *Service, path string) (int, Report) {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	var r Report
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		t.Fatalf("%s: %s: %v", path, w.Body, err)
	}
	return w.Code, r
}

// A look that hangs is a failure after its time, and the check goes on.
func TestLookThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var well box[bool]
		c := Check{Name: "slow", Every: 10 * time.Second, Action: Degrade, Successes: 1, Probe: func(ctx context.Context) error {
			if !well.get() {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}}
		lived(t, func(s *Service, _ *story) {
			pass(6 * time.Second)
			if st := s.State(); st.To != Degraded || !strings.Contains(st.Reason, "no answer within 5s") {
				t.Errorf("%+v", st)
			}
			well.set(true)
			pass(10 * time.Second)
			if st := s.State(); st.To != Running {
				t.Errorf("%+v", st)
			}
		}, WithChecks(c))
	})
}

// What failed before READY counts at once; the probes say no until then.
func TestProbesThroughTheLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alive box[error]
		goOn := make(chan struct{})
		s, ctx, _ := begin(t, Func(func(ctx context.Context) error {
			<-goOn
			From(ctx).Ready()
			<-ctx.Done()
			<-goOn
			return nil
		}), WithLiveness(alive.get))
		ended := make(chan error, 1)
		go func() { ended <- s.live(ctx) }()
		expect := func(when string, live, ready, healthy int) {
			t.Helper()
			synctest.Wait()
			for path, want := range map[string]int{"/livez": live, "/readyz": ready, "/healthz": healthy} {
				if got, _ := probe(t, s, path); got != want {
					t.Errorf("%s: %s is %d, want %d", when, path, got, want)
				}
			}
		}
		expect("starting", 200, 503, 503)
		goOn <- struct{}{}
		expect("running", 200, 200, 200)
		alive.set(errors.New("three heartbeats missed"))
		expect("hung", 503, 503, 503)
		alive.set(nil)
		if err := s.Pause(ctx); err != nil {
			t.Fatal(err)
		}
		expect("paused", 200, 503, 200)
		s.Stop(nil)
		expect("stopping", 200, 503, 503)
		goOn <- struct{}{}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
