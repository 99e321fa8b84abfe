package router

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
)

// outlier watches an instance by what it answers: failures in a row take it
// out for a while, which doubles each time it comes back and fails again.
type outlier struct {
	until atomic.Int64 // age of the instance at which the ejection ends
	row   atomic.Int64 // failures since the last success; success resets it without the lock

	mu    sync.Mutex
	rules rpc.Outlier
	began time.Duration // age at the first of the row
	last  time.Duration // of the latest ejection
	log   *slog.Logger
}

// note takes an ending. What the client ended says nothing.
func (o *outlier) note(a ending, age time.Duration) {
	switch {
	case a.outcome == canceled:
	case !a.isFailed():
		if o.row.Load() != 0 {
			o.row.Store(0)
		}
	default:
		o.fail(age)
	}
}

func (o *outlier) fail(age time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.rules.Failures == 0 || int64(age) < o.until.Load() {
		return // of requests that were on their way when it was taken out
	}
	row := o.row.Add(1)
	if row == 1 || age-o.began > o.rules.Window {
		o.row.Store(1)
		o.began, row = age, 1
	}
	if row >= int64(o.rules.Failures) {
		o.eject(age)
	}
}

// eject takes the instance out. One that did well for longer than it was out
// begins anew.
func (o *outlier) eject(age time.Duration) {
	if o.last == 0 || age-time.Duration(o.until.Load()) > o.last {
		o.last = o.rules.Eject
	} else {
		o.last *= 2
	}
	o.last = min(o.last, o.rules.MaxEject)
	o.row.Store(0)
	o.until.Store(int64(age + o.last))
	o.log.Warn("failures in a row", "failures", o.rules.Failures, "for", o.last)
}

// remaining is how long the instance is out yet.
func (o *outlier) remaining(age time.Duration) time.Duration {
	return max(0, time.Duration(o.until.Load())-age)
}

func (o *outlier) set(r rpc.Outlier, log *slog.Logger) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rules, o.log = r, log
	if r.Failures == 0 {
		o.until.Store(0)
	}
}
