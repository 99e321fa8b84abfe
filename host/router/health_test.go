package router

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// It takes three bad checks in a row to go down and two good ones to come up.
func TestHysteresis(t *testing.T) {
	t.Parallel()
	h := health{rules: rpc.Health{TCP: true, Rise: 2, Fall: 3}}
	bad := errors.New("connection refused")
	for i, step := range []struct {
		err  error
		down bool
	}{
		{nil, false}, {bad, false}, {bad, false}, {nil, false}, {bad, false}, {bad, false}, {bad, true},
		{nil, true}, {bad, true}, {nil, true}, {nil, false}, {bad, false},
	} {
		turned := h.observe(step.err, time.Duration(i)*time.Second)
		if got := h.down.Load(); got != step.down || turned != (i == 6 || i == 10) {
			t.Errorf("after check %d: down %v, turned %v", i, got, turned)
		}
	}
	if why := h.reason(); why != "3 checks in a row failed: connection refused" {
		t.Errorf("reason %q", why)
	}
	if since := time.Duration(h.since.Load()); since != 10*time.Second {
		t.Errorf("up since %v", since)
	}
}

func TestJitterStaysNearTheInterval(t *testing.T) {
	t.Parallel()
	for draw, want := range map[int]time.Duration{0: 9 * time.Second, 500: 10 * time.Second, 1000: 11 * time.Second} {
		if got := jitter(10*time.Second, func(int) int { return draw }); got != want {
			t.Errorf("draw %d: %v, want %v", draw, got, want)
		}
	}
}

// outs is an outlier and the time.
type outs struct {
	outlier
	age time.Duration
}

func newOuts() *outs {
	o := &outs{}
	o.set(rpc.Outlier{Failures: 3, Window: 10 * time.Second, Eject: 10 * time.Second, MaxEject: time.Minute}, slog.New(slog.DiscardHandler))
	return o
}

// see notes n answers with a status, a second apart, and says for how long
// the instance is out then.
func (o *outs) see(n, status int) time.Duration {
	for range n {
		o.age += time.Second
		o.note(ending{status: status, grpc: noGRPC}, o.age)
	}
	return o.remaining(o.age)
}

func TestOutliersAreEjectedForLonger(t *testing.T) {
	t.Parallel()
	o := newOuts()
	if left := o.see(2, 503) + o.see(1, 200) + o.see(2, 500) + o.see(5, 404); left != 0 {
		t.Errorf("out for %v without three failures in a row", left)
	}
	o.note(ending{outcome: canceled}, o.age)
	for i, want := range []time.Duration{10, 20, 40, 60, 60} {
		if left := o.see(3, 500); left != want*time.Second {
			t.Errorf("ejection %d: out for %v, want %v", i, left, want*time.Second)
		}
		o.note(ending{outcome: failedConnect}, o.age) // was on its way: changes nothing
		o.age += o.remaining(o.age)
	}
	o.age += 2 * time.Minute // well for longer than it was out
	if left := o.see(3, 500); left != 10*time.Second {
		t.Errorf("out for %v after it did well, want 10 s", left)
	}
}

// Failures far apart are no row.
func TestOutlierWindow(t *testing.T) {
	t.Parallel()
	o := newOuts()
	for range 10 {
		o.age += 6 * time.Second
		if left := o.see(1, 500); left != 0 {
			t.Fatalf("out for %v", left)
		}
	}
	for _, outcome := range []outcome{failedConnect, failedTimeout, failedAborted} {
		o.note(ending{outcome: outcome}, o.age)
	}
	if o.remaining(o.age) == 0 {
		t.Error("failures without an answer do not count")
	}
}

func TestRamp(t *testing.T) {
	t.Parallel()
	born := time.Now()
	in := &instance{born: born}
	in.warm.Store(int64(10 * time.Second))
	at := func(s int) release.Weight {
		return in.ramp(5000, 100*time.Second, born.Add(time.Duration(s)*time.Second))
	}
	for s, want := range map[int]release.Weight{10: 500, 15: 500, 60: 2500, 109: 4950, 110: 5000, 1000: 5000} {
		if got := at(s); got != want {
			t.Errorf("after %d s: %d, want %d", s, got, want)
		}
	}
	in.health.since.Store(int64(200 * time.Second)) // came back: it warms up again
	if got := at(250); got != 2500 {
		t.Errorf("after it came back: %d, want 2500", got)
	}
	if got := in.ramp(1, 100*time.Second, born.Add(200*time.Second)); got != 1 {
		t.Errorf("the smallest weight is %d while it warms up", got)
	}
	if got := in.ramp(5000, 0, born); got != 5000 {
		t.Errorf("without slow start: %d", got)
	}
}

// pacer lets checks run when the test says so.
type pacer struct{ tick chan time.Time }

func newPacer() *pacer { return &pacer{tick: make(chan time.Time)} }

func (p *pacer) After(time.Duration) <-chan time.Time { return p.tick }

// checks lets each of n waiting checkers check once more.
func (r *rig) checks(p *pacer, n int) {
	r.t.Helper()
	for range n {
		select {
		case p.tick <- time.Time{}:
		case <-r.ctx.Done():
			r.t.Fatal("nobody waits for the next check")
		}
	}
}

// sick is an instance whose health path fails when it is told to.
type sick struct {
	says string
	ill  atomic.Bool
}

func (s *sick) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" && s.ill.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	fmt.Fprint(w, s.says)
}

// An unhealthy canary loses its share to stable, says why, and gets it back;
// an unhealthy stable keeps its own, because there is nobody else.
func TestChecksTakeACanaryOut(t *testing.T) {
	t.Parallel()
	p, c := newPacer(), newClock()
	r := start(t, Options{After: p.After, Now: c.Now})
	green := &sick{says: "green"}
	route := r.route(backend(t, "blue"), serve(t, green.ServeHTTP), release.Full)
	route.Health = rpc.Health{HTTP: "/healthz", Rise: 2, Fall: 3, Interval: time.Second, Timeout: 10 * time.Second}
	r.put(route)
	if got := r.ask("/"); got != "green" {
		t.Fatalf("before: %s", got)
	}
	green.ill.Store(true)
	p.waitOut(r, true)
	v := r.view()
	if v.Effective != 0 || v.Weight != release.Full || v.FailOpen || !strings.Contains(v.Out[release.Green], "503") {
		t.Errorf("view: effective %v, weight %v, fail open %v, out %q", v.Effective, v.Weight, v.FailOpen, v.Out)
	}
	if got := r.ask("/"); got != "blue" {
		t.Errorf("with a sick canary: %s", got)
	}
	sc := r.counters(release.Green)
	if sc.Diverted != 1 || sc.Units.All != 1 || sc.Out == "" {
		t.Errorf("counters of the canary: %+v", sc)
	}
	if blue := r.counters(release.Blue); blue.Units.All != 0 || blue.Requests != 1 {
		t.Errorf("what was moved to stable is compared: %+v", blue)
	}
	green.ill.Store(false)
	p.waitOut(r, false)
	if got := r.ask("/"); got != "green" {
		t.Errorf("after: %s", got)
	}
}

// waitOut lets checks run until the canary is out, or in again.
func (p *pacer) waitOut(r *rig, out bool) {
	r.t.Helper()
	for range 20 {
		if (r.view().Out[release.Green] != "") == out {
			return
		}
		r.checks(p, 2)
	}
	r.t.Fatalf("never out: %v", out)
}

func TestAnUnhealthyStableKeepsItsRequests(t *testing.T) {
	t.Parallel()
	p := newPacer()
	var log syncBuffer
	r := start(t, Options{After: p.After, Log: slog.New(slog.NewTextHandler(&log, nil))})
	blue := &sick{says: "blue"}
	blue.ill.Store(true)
	route := r.route(serve(t, blue.ServeHTTP), "", 0)
	route.Health = rpc.Health{HTTP: "/healthz", Fall: 2}
	r.put(route)
	r.checks(p, 2)
	r.eventually("said", func() bool { return r.view().FailOpen })
	if got := r.ask("/"); got != "blue" {
		t.Errorf("answered by %q", got)
	}
	if v := r.view(); v.Out[release.Blue] == "" {
		t.Errorf("out: %v", v.Out)
	}
	r.eventually("logged", func() bool { return strings.Contains(log.String(), "health") })
}

// Checks end with the instance: a drain leaves no connection, and nobody
// checks what is stopped.
func TestChecksEndWithADrain(t *testing.T) {
	t.Parallel()
	var checks atomic.Int64
	p := newPacer()
	r := start(t, Options{After: p.After})
	green := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			checks.Add(1)
		}
	})
	route := r.route(backend(t, "blue"), green, 5000)
	route.Health = rpc.Health{HTTP: "/healthz", Timeout: 10 * time.Second}
	r.put(route)
	r.eventually("checked", func() bool { return checks.Load() > 0 })
	if _, err := r.Drain(r.ctx, name, release.Green); err != nil {
		t.Fatal(err)
	}
	before := checks.Load()
	for range 3 {
		r.checks(p, 1) // of stable, the only one left
	}
	if after := checks.Load(); after != before {
		t.Errorf("%d checks of a drained slot", after-before)
	}
}

// Failures in a row take a canary out, and its time lets it come back.
func TestAFailingCanaryIsEjected(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := start(t, Options{Now: c.Now})
	var well atomic.Bool
	green := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !well.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(w, "green")
	})
	route := r.route(backend(t, "blue"), green, release.Full)
	route.Lease = time.Hour
	route.Outlier = rpc.Outlier{Failures: 3}
	r.put(route)
	for range 3 {
		r.get("/")
	}
	r.eventually("ejected", func() bool { return r.view().Out[release.Green] != "" })
	if code, got := r.get("/"); code != http.StatusOK || got != "blue" {
		t.Errorf("%d %s from an ejected canary", code, got)
	}
	well.Store(true)
	c.add(10 * time.Second)
	if _, got := r.get("/"); got != "green" {
		t.Errorf("after the ejection: %s", got)
	}
}

// Without another instance nothing is ever taken out.
func TestTheLastOneIsNeverEjected(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	route := r.route(serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, "blue")
	}), "", 0)
	route.Outlier = rpc.Outlier{Failures: 2}
	r.put(route)
	for range 5 {
		if _, got := r.get("/"); got != "blue" {
			t.Fatalf("answered by %q", got)
		}
	}
	r.eventually("said", func() bool { return r.view().FailOpen })
}

// A cold canary gets a tenth of its weight at once and the rest by and by;
// the view says what it has now.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := start(t, Options{Now: c.Now, Draw: func(int) int { return 3000 }})
	route := r.route(backend(t, "blue"), backend(t, "green"), 5000)
	route.SlowStart, route.Lease = 100*time.Second, time.Hour
	r.put(route)
	if v := r.view(); v.Effective != 500 || v.Weight != 5000 {
		t.Errorf("at first %v of %v", v.Effective, v.Weight)
	}
	if got := r.ask("/"); got != "blue" {
		t.Errorf("at first: %s", got)
	}
	c.add(80 * time.Second)
	if v := r.view(); v.Effective < 3990 || v.Effective > 4000 {
		t.Errorf("after 80 s %v", v.Effective)
	}
	if got := r.ask("/"); got != "green" {
		t.Errorf("after 80 s: %s", got)
	}
	route.Weight = 9500 // the next step finds it nearly warm
	r.put(route)
	if v := r.view(); v.Effective < 7590 || v.Effective > 7600 {
		t.Errorf("next step %v", v.Effective)
	}
	if units := r.counters(release.Green).Units; units.All != 1 || units.Share < 4490 || units.Share > 4500 {
		t.Errorf("units %+v: want the shares of both draws", units)
	}
}

// syncBuffer is a log that a test reads while it is written.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
