package router

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

const name = "orders"

// clock stands still until a test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// seeded draws the same numbers in every run.
func seeded() func(int) int {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(7, 11))
	return func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
}

// rig is a running router with its client.
type rig struct {
	*Client
	t      testing.TB
	dir    string
	listen string
	ctx    context.Context
	stop   func() error
	done   chan struct{} // closed at its end
}

// start runs a router; the folder of o may have been another's before.
func start(t testing.TB, o Options) *rig {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	r := launch(t, o)
	if err := r.Ready(r.ctx); err != nil {
		t.Fatalf("router is not ready: %v", err)
	}
	return r
}

// launch is start without waiting.
func launch(t testing.TB, o Options) *rig {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.IdleGrace == 0 {
		o.IdleGrace = 50 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	run, end := context.WithCancel(context.Background())
	ended, done := make(chan error, 1), make(chan struct{})
	go func() {
		ended <- New(o).Run(run)
		close(done)
	}()
	stop := sync.OnceValue(func() error {
		end()
		return <-ended
	})
	r := &rig{Client: NewClient(o.Dir), t: t, dir: o.Dir, listen: freeAddr(t), ctx: ctx, stop: stop, done: done}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("the router ended with %v", err)
		}
		r.http.CloseIdleConnections()
		cancel()
	})
	return r
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// freeAddr is an address that no other test uses: a random loopback IP.
func freeAddr(t testing.TB) string {
	t.Helper()
	ip := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250))
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// route is blue stable and, if there is a green, green as the canary.
func (r *rig) route(blue, green string, w release.Weight) Route {
	route := Route{
		Service: name, Listen: r.listen, Stable: release.Blue,
		Slots:        map[release.Slot]string{release.Blue: blue},
		DrainTimeout: 5 * time.Second,
	}
	if green != "" {
		route.Slots[release.Green], route.Canary = green, release.Green
	}
	if w > 0 {
		route.Weight, route.Lease = w, time.Minute
	}
	return route
}

// put replaces the route, whatever it is now.
func (r *rig) put(route Route) View {
	r.t.Helper()
	now, err := r.Get(r.ctx, route.Service)
	if err != nil {
		now.Generation = 0
	}
	v, err := r.Put(r.ctx, route, now.Generation)
	if err != nil {
		r.t.Fatalf("put: %v", err)
	}
	return v
}

func (r *rig) view() View {
	r.t.Helper()
	v, err := r.Get(r.ctx, name)
	if err != nil {
		r.t.Fatalf("get: %v", err)
	}
	return v
}

func (r *rig) counters(slot release.Slot) rpc.SlotCounters {
	r.t.Helper()
	_, slots, err := r.Counters(r.ctx, name)
	if err != nil {
		r.t.Fatalf("counters: %v", err)
	}
	return slots[slot]
}

// eventually waits for what happens just after an answer was sent.
func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-r.ctx.Done():
			r.t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func (r *rig) url(path string) string { return "http://" + r.listen + path }

// get fetches a path of the public address on a connection of its own.
func (r *rig) get(path string) (int, string) {
	r.t.Helper()
	code, text, err := r.fetch(path, true)
	if err != nil {
		r.t.Fatalf("get %s: %v", path, err)
	}
	return code, text
}

// ask gets on a kept connection.
func (r *rig) ask(path string) string {
	r.t.Helper()
	_, text, err := r.fetch(path, false)
	if err != nil {
		r.t.Fatalf("get %s: %v", path, err)
	}
	return text
}

// try does not care how it ends, but ends with the answer. A connection of
// its own keeps the client from trying again.
func (r *rig) try(path string) { _, _, _ = r.fetch(path, true) }

func (r *rig) fetch(path string, own bool) (int, string, error) {
	req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, r.url(path), nil)
	if err != nil {
		return 0, "", err
	}
	req.Close = own
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// backend is an instance that answers with its name.
func backend(t testing.TB, says string) string {
	t.Helper()
	return serve(t, say(says))
}

func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return addrOf(s)
}

func addrOf(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }

// serveAt starts an instance at an address that was chosen before.
func serveAt(t testing.TB, addr string, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return s
}
