package router

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/flock"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// follow starts a router that takes over from r, and waits until it has. As
// the host does, it begins when r has no elder any more.
func (r *rig) follow(o Options) *rig {
	r.t.Helper()
	r.eventually("the router before has finished", func() bool {
		self, err := r.Self(r.ctx)
		return err == nil && !self.Finishing
	})
	before, err := r.find()
	if err != nil {
		r.t.Fatal(err)
	}
	o.Dir = r.dir
	next := launch(r.t, o)
	next.listen = r.listen
	r.eventually("another router serves", func() bool {
		now, err := r.find()
		return err == nil && now.Address != before.Address
	})
	return next
}

// ended waits for the end of a router that was followed.
func (r *rig) finished() {
	r.t.Helper()
	select {
	case <-r.done:
	case <-r.ctx.Done():
		r.t.Fatal("the elder router does not end")
	}
}

func TestHandOversLoseNothing(t *testing.T) {
	t.Parallel()
	r := start(t, Options{IdleGrace: time.Minute}) // every client sends again before that
	blue, green := serve(t, echo), serve(t, echo)
	r.put(r.route(blue, green, 2000))
	l := startLoad(t, r, http.MethodGet, http.MethodPost)
	for i := range 8 {
		l.wait(r, 100)
		next := r.follow(Options{IdleGrace: time.Minute})
		r.finished()
		if w := next.view().Weight; w != 2000 {
			t.Errorf("the weight after hand-over %d is %v", i, w)
		}
		r = next
	}
	l.wait(r, 100)
	n, failures := l.end()
	if len(failures) > 0 {
		t.Fatalf("%d of %d requests failed, the first: %v", len(failures), n, failures[0])
	}
	r.eventually("nothing in flight", func() bool { return r.view().Inflight[release.Blue] == 0 && r.view().Inflight[release.Green] == 0 })
	var counted int64 // an elder's last words may still be on their way
	r.eventually("all are counted", func() bool {
		counted = r.counters(release.Blue).Requests + r.counters(release.Green).Requests
		return counted >= n
	})
	if counted != n {
		t.Errorf("%d requests were counted, %d answered", counted, n)
	}
}

func TestHandOverCarriesLeaseAndGeneration(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := start(t, Options{Now: c.Now})
	route := r.route(backend(t, "blue"), backend(t, "green"), release.Full)
	route.Salt = "of this rollout"
	before := r.put(route)
	c.add(20 * time.Second)
	next := r.follow(Options{Now: c.Now})
	after := next.view()
	if after.Remaining > 40*time.Second || after.Remaining < 39*time.Second {
		t.Errorf("%v of the lease remain, want what was left: 40s", after.Remaining)
	}
	if after.Weight != release.Full || after.Generation != before.Generation || after.Epoch != before.Epoch || after.Salt != route.Salt {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if _, err := next.Put(next.ctx, route, before.Generation); err != nil {
		t.Errorf("a renewal by the generation of before: %v", err)
	}
	c.add(time.Minute)
	if v := next.view(); !v.Expired || v.Weight != 0 {
		t.Errorf("after the lease: %+v", v)
	}
	last := next.follow(Options{Now: c.Now})
	if v := last.view(); !v.Expired || v.Weight != 0 || v.Generation != next.view().Generation {
		t.Errorf("a lease that ran out before the hand-over: %+v", v)
	}
	if _, text := last.get("/"); text != "blue" {
		t.Errorf("%q answers", text)
	}
}

func TestHandOverCarriesHowInstancesStand(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := start(t, Options{Now: c.Now})
	route := r.route(backend(t, "blue"), "127.0.0.1:1", 1000) // nobody is there
	route.SlowStart = 100 * time.Second
	route.Health = rpc.Health{TCP: true, Fall: 1, Interval: time.Hour}
	route.Lease = time.Hour
	r.put(route)
	c.add(50 * time.Second)
	r.eventually("green is out", func() bool { return r.view().Out[release.Green] != "" })
	before := r.view()
	after := r.follow(Options{Now: c.Now}).view()
	if after.Effective != before.Effective || after.Effective != 0 && after.Effective != 500 {
		t.Errorf("the effective weight was %v, and is %v", before.Effective, after.Effective)
	}
	if after.Out[release.Green] != before.Out[release.Green] {
		t.Errorf("green was out because %q, and is because %q", before.Out[release.Green], after.Out[release.Green])
	}
}

// gated is an instance that answers when it is told.
func gated(t *testing.T) (addr string, entered, leave chan struct{}) {
	entered, leave = make(chan struct{}, 16), make(chan struct{})
	addr = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-leave
		_, _ = io.WriteString(w, "late")
	})
	return addr, entered, leave
}

func TestElderFinishesAndTellsWhatItCameTo(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	addr, entered, leave := gated(t)
	r.put(r.route(addr, backend(t, "green"), 0))
	late := make(chan string, 1)
	go func() {
		_, text := r.get("/")
		late <- text
	}()
	<-entered
	next := r.follow(Options{})
	if v := next.view(); v.Inflight[release.Blue] != 1 {
		t.Errorf("in flight after the hand-over: %v", v.Inflight)
	}
	route := next.view().Route
	route.Stable, route.Canary = release.Green, release.Blue
	next.put(route)
	drained := make(chan error, 1)
	go func() {
		_, err := next.Drain(next.ctx, name, release.Blue)
		drained <- err
	}()
	next.eventually("blue drains", func() bool { return reflect.DeepEqual(next.view().Draining, []release.Slot{release.Blue}) })
	select {
	case err := <-drained:
		t.Fatalf("drained while the elder has a request there: %v", err)
	default:
	}
	close(leave)
	if text := <-late; text != "late" {
		t.Errorf("the request in flight got %q", text)
	}
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}
	r.finished()
	next.eventually("the elder's request is counted, and over", func() bool {
		n := next.counters(release.Blue)
		return n.Requests == 1 && n.Inflight == 0
	})
}

func TestKeptConnectionsMoveToTheSuccessor(t *testing.T) {
	t.Parallel()
	r := start(t, Options{IdleGrace: time.Minute})
	r.put(r.route(backend(t, "blue"), backend(t, "green"), 0))
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	kept := &http.Client{Transport: transport}
	ask := func() (string, bool) {
		res, err := kept.Get(r.url("/"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text), res.Close
	}
	if text, last := ask(); text != "blue" || last {
		t.Fatalf("%q, last %v", text, last)
	}
	next := r.follow(Options{})
	route := next.view().Route
	route.Stable, route.Canary = release.Green, ""
	next.put(route)
	r.eventually("the elder follows", func() bool {
		text, _ := ask()
		return text == "green"
	})
	r.finished()
	if text, last := ask(); text != "green" || last {
		t.Errorf("at the successor: %q, last %v", text, last)
	}
}

func TestChangesWaitForTheSuccessor(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	route := r.route(backend(t, "blue"), backend(t, "green"), 500)
	r.put(route)
	var stop atomic.Bool
	var changed atomic.Int64
	ended := make(chan error, 1)
	go func() {
		var failed error
		for failed == nil && !stop.Load() {
			v, err := r.Get(r.ctx, name)
			if err == nil {
				_, err = r.Put(r.ctx, route, v.Generation)
			}
			failed = err
			changed.Add(1)
		}
		ended <- failed
	}()
	last := r
	for range 5 {
		n := changed.Load()
		last.eventually("changes are made", func() bool { return changed.Load() > n+5 || len(ended) > 0 })
		next := last.follow(Options{})
		last.finished()
		last = next
	}
	stop.Store(true)
	if err := <-ended; err != nil {
		t.Errorf("a change over a hand-over: %v", err)
	}
}

func TestChangeThatTheElderLeftUnanswered(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	route := r.route(backend(t, "blue"), "", 0)
	serves := filepath.Join(r.dir, controlName)
	published, err := os.ReadFile(serves)
	if err != nil {
		t.Fatal(err)
	}
	elder := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if err := os.WriteFile(serves, published, 0o600); err != nil {
			t.Error(err)
		}
		panic(http.ErrAbortHandler)
	}))
	defer elder.Close()
	before, err := json.Marshal(control{protocol, elder.Listener.Addr().String(), "token"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(serves, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Put(r.ctx, route, 0); err != nil {
		t.Errorf("a change at the moment of a hand-over: %v", err)
	}
}

func TestOneRouterStartsWhenTheOtherEnds(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	r.put(r.route(backend(t, "blue"), "", 0))
	baton, err := flock.Take(filepath.Join(r.dir, batonName))
	if !errors.Is(err, flock.ErrHeld) {
		t.Fatalf("the baton is free: %v, %v", baton, err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	next := start(t, Options{Dir: r.dir})
	next.listen = r.listen
	if _, text := next.get("/"); text != "blue" {
		t.Errorf("%q answers", text)
	}
}

func TestEveryCounterIsCarried(t *testing.T) {
	t.Parallel()
	var one rpc.SlotCounters
	count(t, reflect.ValueOf(&one).Elem(), 1)
	sum := plus(one, one)
	var double rpc.SlotCounters
	count(t, reflect.ValueOf(&double).Elem(), 2)
	if !reflect.DeepEqual(sum, double) {
		t.Errorf("%+v and itself is %+v, want %+v", one, sum, double)
	}
	short := plus(rpc.SlotCounters{Latency: []int64{1}, Out: "a"}, rpc.SlotCounters{Latency: []int64{1, 2, 3}, Out: "b"})
	if !reflect.DeepEqual(short.Latency, []int64{2, 2, 3}) || short.Out != "a" {
		t.Errorf("latencies %v, out %q", short.Latency, short.Out)
	}
}

// count sets every number below v to n.
func count(t *testing.T, v reflect.Value, n int64) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Int64:
			f.SetInt(n)
		case reflect.Slice:
			f.Set(reflect.ValueOf([]int64{n, n}))
		case reflect.Struct:
			count(t, f, n)
		case reflect.String:
		default:
			t.Errorf("plus does not know the kind of %s", v.Type().Field(i).Name)
		}
	}
}

func TestHandOverIsForThoseWhoKnowTheToken(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	to, err := r.find()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", to.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/handover?dock=1 HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade, close\r\nUpgrade: %s\r\n\r\n", to.Address, handOverUpgrade)
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
		t.Errorf("%q, %v", answer, err)
	}
}
