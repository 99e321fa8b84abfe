package router

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// load asks without a pause, on kept and on short connections, and
// checks every answer.
type load struct {
	url      string
	methods  []string
	ctx      context.Context
	stop     atomic.Bool
	wg       sync.WaitGroup
	answered atomic.Int64
	mu       sync.Mutex
	failures []error
}

func startLoad(t *testing.T, r *rig, methods ...string) *load {
	t.Helper()
	l := &load{url: r.url("/echo?a;b=1"), methods: methods, ctx: r.ctx}
	for i := range 8 {
		transport := &http.Transport{DisableKeepAlives: i%4 == 3, MaxIdleConnsPerHost: 8}
		l.wg.Go(func() {
			defer transport.CloseIdleConnections()
			l.run(&http.Client{Transport: transport}, uint64(i))
		})
	}
	t.Cleanup(func() { l.end() })
	return l
}

// end stops and gives what was answered and what failed.
func (l *load) end() (int64, []error) {
	l.stop.Store(true)
	l.wg.Wait()
	return l.answered.Load(), l.failures
}

func (l *load) run(c *http.Client, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	for !l.stop.Load() {
		method := l.methods[random.IntN(len(l.methods))]
		err := l.ask(c, method, bytes.Repeat([]byte{byte(seed)}, random.IntN(40_000)))
		l.answered.Add(1)
		if err != nil {
			l.mu.Lock()
			l.failures = append(l.failures, err)
			l.mu.Unlock()
		}
	}
}

func (l *load) ask(c *http.Client, method string, body []byte) error {
	if method == http.MethodGet {
		body = nil
	}
	req, err := http.NewRequestWithContext(l.ctx, method, l.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s cut: %w", method, err)
	}
	if res.StatusCode != http.StatusOK || !bytes.Equal(got, body) {
		return fmt.Errorf("%s: %s, %d bytes for %d: %.60q", method, res.Status, len(got), len(body), got)
	}
	return nil
}

// wait returns after the load was answered n more times.
func (l *load) wait(r *rig, n int64) {
	want := l.answered.Load() + n
	r.eventually("load is answered", func() bool { return l.answered.Load() >= want })
}

// echo is an instance that gives back what it gets, after a moment at times.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery != "a;b=1" {
		http.Error(w, "query "+r.URL.RawQuery, http.StatusBadRequest)
		return
	}
	if rand.IntN(50) == 0 {
		time.Sleep(20 * time.Millisecond) // work that a drain has to wait for
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(data)
}

func TestNoRequestIsLostOverReleases(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	addrs := map[release.Slot]string{release.Blue: freeAddr(t), release.Green: freeAddr(t)}
	running := map[release.Slot]*httptest.Server{}
	run := func(slot release.Slot) { running[slot] = serveAt(t, addrs[slot], echo) }
	run(release.Blue)
	stable := release.Blue
	r.put(Route{Service: name, Listen: r.listen, Slots: addrs, Stable: stable})
	l := startLoad(t, r, http.MethodGet, http.MethodPost)
	for range 4 {
		canary := stable.Other()
		run(canary)
		for _, w := range []release.Weight{0, 500, 5000, release.Full} {
			r.put(Route{
				Service: name, Listen: r.listen, Slots: addrs, Stable: stable,
				Canary: canary, Weight: w, Lease: time.Minute, DrainTimeout: 20 * time.Second,
			})
			l.wait(r, 100)
		}
		r.put(Route{Service: name, Listen: r.listen, Slots: addrs, Stable: canary, DrainTimeout: 20 * time.Second})
		if v, err := r.Drain(r.ctx, name, stable); err != nil || v.Inflight[stable] != 0 {
			t.Fatalf("drain %s: %v, in flight %d", stable, err, v.Inflight[stable])
		}
		running[stable].CloseClientConnections() // a stop that waits for nobody
		running[stable].Close()
		l.wait(r, 100)
		stable = canary
	}
	n, failures := l.end()
	if len(failures) > 0 {
		t.Fatalf("%d of %d requests failed, the first: %v", len(failures), n, failures[0])
	}
	for _, slot := range release.Slots() {
		r.eventually("nothing in flight", func() bool { return r.counters(slot).Inflight == 0 })
		if c := r.counters(slot); c.Errors()+c.Canceled != 0 || c.Requests == 0 {
			t.Errorf("%s counted %+v", slot, c)
		}
	}
}

// A server that stops ends also a new connection whose request it has just read.
// Nobody knows what it did: what may be asked twice is asked of stable.
func TestWhatACanaryLeavesUnanswered(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(net.Conn){
		"end":             func(net.Conn) {},
		"reset":           func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) },
		"interim and end": func(c net.Conn) { says(c, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n") },
	} {
		r := start(t, Options{})
		canary := scripted(t, func(c net.Conn, _ int) bool { end(c); return false })
		r.put(r.route(backend(t, "blue"), canary, release.Full))
		r.unanswered(what, http.MethodGet, http.StatusOK, rpc.SlotCounters{Requests: 1, Aborted: 1, Fallback: 1})
		r.unanswered(what, http.MethodOptions, http.StatusOK, rpc.SlotCounters{Requests: 2, Aborted: 2, Fallback: 2})
		r.unanswered(what, http.MethodPost, http.StatusBadGateway, rpc.SlotCounters{Requests: 3, Aborted: 3, Fallback: 2})
		if n := r.counters(release.Blue); n.Requests != 2 || n.Errors() != 0 {
			t.Errorf("%s: stable counted %+v", what, n)
		}
	}
}

// unanswered asks on a connection of its own, on which no client repeats.
func (r *rig) unanswered(what, method string, status int, want rpc.SlotCounters) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.ctx, method, r.url("/"), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatalf("%s, %s: %v", what, method, err)
	}
	res.Body.Close()
	if res.StatusCode != status {
		r.t.Errorf("%s, %s: %s, want %d", what, method, res.Status, status)
	}
	n := r.counters(release.Green)
	if n.Requests != want.Requests || n.Aborted != want.Aborted || n.Errors() != want.Aborted || n.Fallback != want.Fallback {
		r.t.Errorf("%s, %s: the canary counted %+v", what, method, n)
	}
}

// Nobody gets the canary because stable gave up.
func TestWhatStableLeavesUnanswered(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Draw: func(n int) int { return n - 1 }}) // always the rest
	r.put(r.route(scripted(t, func(net.Conn, int) bool { return false }), backend(t, "green"), 5000))
	if code, text := r.get("/"); code != http.StatusBadGateway || strings.Contains(text, "green") {
		t.Errorf("got %d %q", code, text)
	}
}

func TestACanaryThatStopsLosesNoRequest(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	green := serveAt(t, freeAddr(t), echo)
	r.put(r.route(serve(t, echo), addrOf(green), 5000))
	l := startLoad(t, r, http.MethodGet)
	l.wait(r, 200)
	if err := green.Config.Shutdown(r.ctx); err != nil && !errors.Is(err, http.ErrServerClosed) {
		t.Fatal(err)
	}
	l.wait(r, 200)
	if n, failures := l.end(); len(failures) > 0 {
		t.Errorf("%d of %d requests failed, the first: %v", len(failures), n, failures[0])
	}
	if c := r.counters(release.Green); c.Connect == 0 || c.Errors() != c.Fallback || c.Errors() != c.Connect+c.Aborted {
		t.Errorf("the canary counted %+v", c)
	}
	if c := r.counters(release.Blue); c.Errors() != 0 {
		t.Errorf("stable counted %+v", c)
	}
}
