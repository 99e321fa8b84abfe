// Package load sends requests to the public addresses of a service at a
// constant rate while it is released, and counts what became of them: by
// version and slot, and by the ways in which a request can be lost. The demo
// and the end-to-end tests rest on its counts.
package load

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options say what is sent. Zero values take the defaults.
type Options struct {
	URLs      []string      // in turn; at least one
	Rate      float64       // requests per second in all, default 100
	KeepAlive int           // clients that keep their connections, default 16
	Short     int           // clients that connect anew for each request, default 4
	Posts     float64       // share of POST requests, which nothing on the way may repeat
	Body      string        // of POST requests
	Timeout   time.Duration // per request, default 10 s
	Version   string        // header that names the version, default X-Orders-Version
	Slot      string        // header that names the slot, default X-Slot

	Sockets   []string // addresses of WebSockets that echo; one client each, which holds it open
	Downloads []string // addresses of large bodies; one client each, one after another
}

func (o Options) withDefaults() Options {
	if o.Rate <= 0 {
		o.Rate = 100
	}
	if o.KeepAlive <= 0 && o.Short <= 0 {
		o.KeepAlive, o.Short = 16, 4
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Version == "" {
		o.Version = "X-Orders-Version"
	}
	if o.Slot == "" {
		o.Slot = "X-Slot"
	}
	return o
}

// Generator sends requests until its context ends.
type Generator struct {
	o    Options
	free chan *client
	done chan struct{}
	held sync.WaitGroup // of sockets and downloads

	mu     sync.Mutex
	change *sync.Cond
	report Report
}

// Start begins to send. The rate does not depend on the answers: what is slow
// makes more requests wait side by side, up to one per client; beyond that
// requests start late, which the report counts.
func Start(ctx context.Context, o Options) *Generator {
	o = o.withDefaults()
	g := &Generator{o: o, done: make(chan struct{}), free: make(chan *client, o.KeepAlive+o.Short)}
	g.change = sync.NewCond(&g.mu)
	g.report = Report{Began: time.Now(), Answers: map[Key]Count{}, Losses: map[Loss]Count{}}
	for i := range o.KeepAlive + o.Short {
		g.free <- newClient(i >= o.KeepAlive, o.Timeout)
	}
	go g.send(ctx)
	for _, address := range o.Sockets {
		g.held.Go(func() { g.keepSocket(ctx, address) })
	}
	for _, address := range o.Downloads {
		g.held.Go(func() { g.download(ctx, address) })
	}
	return g
}

// download fetches one body after another, whole; the last one is cut by our
// own end, and no loss.
func (g *Generator) download(ctx context.Context, address string) {
	c := newClient(true, 0)
	for ctx.Err() == nil {
		began := time.Now()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		key, status := Key{URL: address}, 0
		if err == nil {
			key, status, err = c.fetch(g.o, req, key)
		}
		if ctx.Err() != nil {
			return
		}
		g.note(func(r *Report) { r.count(key, status, err, time.Now(), time.Since(began)) })
		if err != nil {
			sleep(ctx, socketEvery)
		}
	}
}

// note changes the report.
func (g *Generator) note(f func(*Report)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.report)
	g.change.Broadcast()
}

// Wait returns the report once the context of Start ended and every request
// was answered or lost.
func (g *Generator) Wait() *Report {
	<-g.done
	r := g.Report()
	return &r
}

// Report is what happened up to now.
func (g *Generator) Report() Report {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.report.clone()
}

// Until waits until cond holds for the report, which is asked after each
// change. It returns the cause if ctx ends first, or if the generator does.
func (g *Generator) Until(ctx context.Context, cond func(Report) bool) error {
	wake := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.change.Broadcast()
	}
	defer context.AfterFunc(ctx, wake)()
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		switch {
		case cond(g.report.clone()):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !g.report.Ended.IsZero():
			return errEnded
		}
		g.change.Wait()
	}
}

// send starts each request at its time on a client of its own, and ends when
// all clients are back.
func (g *Generator) send(ctx context.Context) {
	defer close(g.done)
	interval := time.Duration(float64(time.Second) / g.o.Rate)
	timer := time.NewTimer(0)
	defer timer.Stop()
	due, owed := time.Now(), 0.0
	for n := 0; ; n++ {
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-ctx.Done():
			g.finish()
			return
		}
		c, ok := g.client(ctx)
		if !ok {
			g.finish()
			return
		}
		owed += g.o.Posts
		post := owed >= 1
		if post {
			owed--
		}
		go g.request(c, g.o.URLs[n%len(g.o.URLs)], post)
		due = due.Add(interval)
	}
}

// client waits for a free client; ok is false when ctx ended first.
func (g *Generator) client(ctx context.Context) (c *client, ok bool) {
	select {
	case c = <-g.free:
		return c, true
	default:
	}
	g.mu.Lock()
	g.report.Late++
	g.change.Broadcast()
	g.mu.Unlock()
	select {
	case c = <-g.free:
		return c, true
	case <-ctx.Done():
		return nil, false
	}
}

func (g *Generator) finish() {
	for range cap(g.free) {
		(<-g.free).close()
	}
	g.held.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.report.Ended = time.Now()
	g.change.Broadcast()
}

func (g *Generator) request(c *client, url string, post bool) {
	began := time.Now()
	key, status, err := c.do(g.o, url, post)
	now := time.Now()
	g.mu.Lock()
	g.report.count(key, status, err, now, now.Sub(began))
	g.change.Broadcast()
	g.mu.Unlock()
	g.free <- c
}

// client sends one request at a time.
type client struct {
	http *http.Client
}

func newClient(short bool, timeout time.Duration) *client {
	return &client{http: &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext:        (&net.Dialer{Timeout: timeout}).DialContext,
			DisableKeepAlives:  short,
			DisableCompression: true,
			MaxIdleConns:       0,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// do returns who answered, and with which status; a request that got no whole
// answer returns an error.
func (c *client) do(o Options, url string, post bool) (Key, int, error) {
	key := Key{URL: url}
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if post {
		req, err = http.NewRequest(http.MethodPost, url, strings.NewReader(o.Body))
	}
	if err != nil {
		return key, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	return c.fetch(o, req, key)
}

func (c *client) fetch(o Options, req *http.Request, key Key) (Key, int, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return key, 0, err
	}
	defer resp.Body.Close()
	key.Version, key.Slot = resp.Header.Get(o.Version), resp.Header.Get(o.Slot)
	return key, resp.StatusCode, drain(resp.Body)
}
