package router

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// health is what active checks say about an instance. It takes several in a
// row to change it, in either direction.
type health struct {
	down  atomic.Bool
	since atomic.Int64 // age of the instance when it came up last

	mu        sync.Mutex
	rules     rpc.Health
	row       int                // checks in a row that say the other thing
	why       string             // of the last bad one
	inherited string             // why a router before held it for dead
	stop      context.CancelFunc // of the checks that run; nil: none
}

// observe takes the outcome of one check and reports whether it turned.
func (h *health) observe(err error, age time.Duration) (turned bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	good := err == nil
	if !good {
		h.why = err.Error()
	}
	if good != h.down.Load() {
		h.row = 0
		return false
	}
	h.row++
	limit := h.rules.Fall
	if good {
		limit = h.rules.Rise
	}
	if h.row < limit {
		return false
	}
	h.row = 0
	if good {
		h.since.Store(int64(age))
	}
	h.down.Store(!good)
	return true
}

// reason says why it is down.
func (h *health) reason() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprintf("%d checks in a row failed: %s", h.rules.Fall, h.why)
}

// watch checks an instance with a role by the rules, from now on, and stops
// when it has none.
func (in *instance) watch(rules rpc.Health, role bool, e *env, log *slog.Logger) {
	h := &in.health
	h.mu.Lock()
	defer h.mu.Unlock()
	if !role || !rules.Checks() {
		rules = rpc.Health{}
	}
	if h.rules == rules {
		return
	}
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
	h.rules, h.row = rules, 0
	h.down.Store(h.inherited != "" && rules.Checks())
	h.why, h.inherited = cmp.Or(h.inherited, h.why), ""
	if rules.Checks() && !in.draining.Load() {
		var ctx context.Context
		ctx, h.stop = context.WithCancel(context.Background())
		go in.check(ctx, rules, e, log)
	}
}

// endChecks is for an instance that drains.
func (h *health) endChecks() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// check runs until ctx ends. Its rhythm is uneven, so that the checks of many
// routers do not fall together.
func (in *instance) check(ctx context.Context, rules rpc.Health, e *env, log *slog.Logger) {
	client := &http.Client{
		Transport:     &http.Transport{DialContext: in.conns.dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for {
		err := in.checkOnce(ctx, client, rules)
		if ctx.Err() != nil {
			return
		}
		if in.health.observe(err, in.age(e.Now())) {
			log.Warn("health", "up", err == nil, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-e.After(jitter(rules.Interval, e.Draw)):
		}
	}
}

func (in *instance) checkOnce(ctx context.Context, client *http.Client, rules rpc.Health) error {
	ctx, cancel := context.WithTimeout(ctx, rules.Timeout)
	defer cancel()
	if rules.HTTP == "" {
		c, err := in.conns.dial(ctx, "", "")
		if err != nil {
			return err
		}
		return c.Close()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+in.addr+rules.HTTP, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "shipper-router")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 400 {
		return fmt.Errorf("GET %s: %s", rules.HTTP, res.Status)
	}
	return nil
}

// jitter is d, a tenth less or more.
func jitter(d time.Duration, draw func(n int) int) time.Duration {
	return d - d/10 + d/5*time.Duration(draw(1001))/1000
}

// age is by the monotonic clock: setting the clock changes nothing.
func (in *instance) age(now time.Time) time.Duration { return now.Sub(in.born) }

// usable reports whether an instance may get what was drawn for it.
func (in *instance) usable(now time.Time) bool {
	return !in.health.down.Load() && int64(in.age(now)) >= in.outlier.until.Load()
}

// out says why an instance is not usable; empty: it is.
func (in *instance) out(now time.Time) string {
	if in.health.down.Load() {
		return in.health.reason()
	}
	if left := in.outlier.remaining(in.age(now)); left > 0 {
		return fmt.Sprintf("its answers failed in a row: out for %v yet", left.Round(time.Second))
	}
	return ""
}

// coldShare is the part of its weight that a fresh canary gets at once.
const coldShare = 0.1

// ramp is the weight of an instance that warms up: it grows evenly over slow
// since it first had one, or since it came back.
func (in *instance) ramp(w release.Weight, slow time.Duration, now time.Time) release.Weight {
	if slow <= 0 {
		return w
	}
	since := max(in.warm.Load(), in.health.since.Load(), in.outlier.until.Load())
	part := float64(int64(in.age(now))-since) / float64(slow)
	if part >= 1 {
		return w
	}
	return max(1, release.Weight(float64(w)*max(part, coldShare)))
}
