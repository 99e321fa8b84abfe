package router

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-shipper/shipper/host/router/certs"
	"github.com/go-shipper/shipper/release"
)

// table is an immutable snapshot of a route and its instances.
type table struct {
	route      Route
	generation uint64
	deadline   time.Time // of the weight
	holdUntil  time.Time
	replaced   chan struct{} // closed when another table took its place
	instances  map[release.Slot]*instance
	policy     policy
	certs      *certs.Set // nil: no TLS
	stable     *instance  // nil: none
	canary     *instance  // nil: none
	shown      *instance  // nil: none
}

// expired reports whether the weight's lease ran out. Nobody has to notice:
// every request asks.
func (t *table) expired(now time.Time) bool { return t.route.Lease > 0 && t.remaining(now) <= 0 }

// remaining is what is left of the lease by that of the two clocks which says
// less: the monotonic one stands still while some hosts sleep, and the other
// one may be set back.
func (t *table) remaining(now time.Time) time.Duration {
	return min(t.deadline.Sub(now), t.deadline.Round(0).Sub(now.Round(0)))
}

// service answers the public requests of one route.
type service struct {
	name     string
	epoch    string
	env      *env
	counters map[release.Slot]*counters
	clients  *clients
	access   atomic.Pointer[accessLog] // nil: none
	dropped  atomic.Int64              // lines of it
	table    atomic.Pointer[table]
	// inherited is what a router before this one counted since epoch, and goes
	// on to count as long as it finishes requests.
	inherited  atomic.Pointer[slotSums]
	conditions map[release.Slot]condition // of instances that are being inherited

	pause     pause
	ready     chan struct{} // closed when stable may be asked
	readyOnce sync.Once

	metricsProblem string // why its metrics are not served; Router.mu guards it
	previewProblem string

	problem string // why its address is not bound; Router.mu guards it
}

func newService(name, epoch string, e *env) *service {
	s := &service{
		name: name, epoch: epoch, env: e,
		counters: map[release.Slot]*counters{}, clients: newClients(e.Now()),
		ready: make(chan struct{}),
	}
	for _, slot := range release.Slots() {
		s.counters[slot] = &counters{}
	}
	s.table.Store(&table{replaced: make(chan struct{})})
	s.inherited.Store(&slotSums{})
	return s
}

// ServeHTTP is the data path: claim, forward, and fall back from a canary
// that does not answer. The other way round a client would get the canary
// beyond its weight.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l := s.access.Load()
	if l == nil {
		s.serve(w, r, nil)
		return
	}
	v := s.begin(r)
	defer func() { s.tell(l, v, r) }()
	s.serve(w, r, v)
}

func (s *service) serve(w http.ResponseWriter, r *http.Request, v *visit) {
	conn := clientOf(r)
	if r.Method == http.MethodConnect {
		v.refuse(w, http.StatusMethodNotAllowed, "CONNECT is not served here")
		return
	}
	if !conn.preview && !s.opens(w, r, v) {
		return
	}
	dropUpgrade(r.Header)
	addr := cleanForwarded(r, s.table.Load().policy.trusted, conn.https)
	c := client{addr, r.Header, r, conn.preview}
	x := s.claimPinned(conn, c)
	if x == nil {
		x = s.claim(c)
	}
	v.meets(x, addr)
	if x.in == nil {
		v.refuse(w, http.StatusServiceUnavailable, nobody(conn.preview))
		return
	}
	b := prepare(w, r)
	defer b.end()
	err := forward(w, r, x, s.via(conn, r, x))
	if mayFallBack(r, err) && b.rewind() == nil {
		if stable := s.claimStable(x.choice); stable != nil {
			s.tellFallback(x.in, err)
			x.choice, x.fallback = choice{in: stable}, true
			err = forward(w, r, x, s.via(conn, r, x))
		}
	}
	if err != nil {
		v.refuse(w, statusOf(err), "the service did not answer")
	}
}

// opens lets a request of the public address in: when nothing holds it, and
// after a start of the router when stable answers.
func (s *service) opens(w http.ResponseWriter, r *http.Request, v *visit) bool {
	if !s.admit(w, r, v) {
		return false
	}
	if !s.awaitReady(r.Context()) {
		w.Header().Set("Retry-After", "5")
		v.refuse(w, http.StatusServiceUnavailable, "the service is starting")
		return false
	}
	return true
}

// nobody is why no instance answers.
func nobody(preview bool) string {
	if preview {
		return "there is nothing to preview: no new release waits here"
	}
	return "no release of this service is running here"
}

// prepare makes the body one that can be sent again, and lets an instance
// answer while the client still sends.
func prepare(w http.ResponseWriter, r *http.Request) *body {
	if r.ContentLength == 0 {
		return nil
	}
	b := &body{client: r.Body}
	r.Body = b
	// Only HTTP/1 knows it; what cannot do it does not need it.
	_ = http.NewResponseController(w).EnableFullDuplex()
	return b
}

// claim picks until an instance takes the request; one that drains is not in
// the next table. Without an instance there is none.
func (s *service) claim(c client) *exchange {
	for {
		t := s.table.Load()
		x := &exchange{service: s, choice: t.pick(s.env.Now(), c, s.env.Draw)}
		if x.in == nil {
			return x
		}
		if x.in.claim() {
			x.client = s.keyOf(t, c, x.key)
			if x.passed != nil {
				x.passed.counters.diverted.Add(1)
			}
			return x
		}
		if s.table.Load() == t {
			return &exchange{service: s}
		}
	}
}

// claimStable takes stable for a request that another instance did not answer,
// unless that was asked for by its preview.
func (s *service) claimStable(failed choice) *instance {
	t := s.table.Load()
	if failed.shown || t.stable == nil || t.stable == failed.in || !t.stable.claim() {
		return nil
	}
	return t.stable
}

// tellFallback counts a request that stable answers instead of the canary, and
// logs the first of each ten seconds.
func (s *service) tellFallback(canary *instance, err error) {
	n := canary.counters.fallback.Add(1)
	now, last := s.env.Now().UnixNano(), canary.told.Load()
	if now-last >= int64(fallbackSilence) && canary.told.CompareAndSwap(last, now) {
		s.env.Log.Warn("the canary does not answer: stable does", "service", s.name,
			"slot", canary.slot, "requests", n, "err", err)
	}
}

// awaitReady holds a request, by the route's choice, until stable answered
// after a start of the router.
func (s *service) awaitReady(ctx context.Context) bool {
	select {
	case <-s.ready:
		return true
	default:
	}
	if s.table.Load().route.Boot == BootRefuse {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, s.env.Hold)
	defer cancel()
	select {
	case <-s.ready:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *service) markReady() { s.readyOnce.Do(func() { close(s.ready) }) }

func (s *service) isReady() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// probe marks the service ready when stable takes a connection.
func (s *service) probe(ctx context.Context) {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		if t := s.table.Load(); t.stable == nil || t.stable.answers(ctx) {
			s.markReady()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-s.ready:
			return
		case <-tick.C:
		}
	}
}

func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, why+"\n") // the client may be gone
}

func statusOf(err error) int {
	if isTimeout(err) {
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}
