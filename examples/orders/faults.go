package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/service"
)

// Knobs by which a test makes a version bad, in the environment or built in
// (-X main.faults=ORDERS_FAIL_RATIO=0.3,ORDERS_FAIL_AFTER=20). Only requests
// under /orders count and suffer, so that health checks pass meanwhile.
type faultSettings struct {
	failRatio   float64       // ORDERS_FAIL_RATIO: this share of requests answers 500 …
	failAfter   int64         // ORDERS_FAIL_AFTER: … once so many were answered well …
	failDelay   time.Duration // ORDERS_FAIL_DELAY: … and so long after the first one
	latency     time.Duration // ORDERS_LATENCY: each request takes so much longer
	slowStart   time.Duration // ORDERS_SLOW_START: before it listens
	crashAfter  int64         // ORDERS_CRASH_AFTER: the process panics at this request
	hangSync    time.Duration // ORDERS_HANG_SYNC: the periodic work hangs for ever; its heartbeat is due so often
	hangOnStop  bool          // ORDERS_HANG_ON_STOP: does not stop when told to
	unhealthy   bool          // ORDERS_UNHEALTHY: a health check fails: /healthz and /readyz answer 503
	failedStart bool          // ORDERS_FAIL_START: ends at once with an error
}

func parseFaults(builtIn string, env func(string) string) (faultSettings, error) {
	set := map[string]string{}
	for pair := range strings.SplitSeq(builtIn, ",") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			set[strings.TrimSpace(name)] = value
		}
	}
	p := parser{get: func(name string) string {
		if v := env(name); v != "" {
			return v
		}
		return set[name]
	}}
	f := faultSettings{
		failRatio:   parse(&p, "ORDERS_FAIL_RATIO", func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }),
		failAfter:   parse(&p, "ORDERS_FAIL_AFTER", integer),
		failDelay:   parse(&p, "ORDERS_FAIL_DELAY", time.ParseDuration),
		latency:     parse(&p, "ORDERS_LATENCY", time.ParseDuration),
		slowStart:   parse(&p, "ORDERS_SLOW_START", time.ParseDuration),
		crashAfter:  parse(&p, "ORDERS_CRASH_AFTER", integer),
		hangSync:    parse(&p, "ORDERS_HANG_SYNC", time.ParseDuration),
		hangOnStop:  parse(&p, "ORDERS_HANG_ON_STOP", strconv.ParseBool),
		unhealthy:   parse(&p, "ORDERS_UNHEALTHY", strconv.ParseBool),
		failedStart: parse(&p, "ORDERS_FAIL_START", strconv.ParseBool),
	}
	return f, p.err
}

type parser struct {
	get func(name string) string
	err error
}

func parse[T any](p *parser, name string, from func(string) (T, error)) (v T) {
	text := p.get(name)
	if text == "" {
		return v
	}
	v, err := from(text)
	if err != nil {
		p.err = errors.Join(p.err, fmt.Errorf("%s: %w", name, err))
	}
	return v
}

func integer(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }

// misbehaviour applies the faults to requests.
type misbehaviour struct {
	faults faultSettings

	mu      sync.Mutex
	count   int64 // requests so far
	first   time.Time
	overdue float64 // errors that the ratio still asks for
}

// decide counts one request and says whether it is to fail. Failures are
// spread evenly: after n requests there were n × ratio of them, give or take
// one.
func (m *misbehaviour) decide(now time.Time) (fail, crash bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count == 0 {
		m.first = now
	}
	m.count++
	crash = m.faults.crashAfter > 0 && m.count >= m.faults.crashAfter
	if m.count <= m.faults.failAfter || now.Sub(m.first) < m.faults.failDelay {
		return false, crash
	}
	m.overdue += m.faults.failRatio
	if m.overdue < 1 {
		return false, crash
	}
	m.overdue--
	return true, crash
}

func (m *misbehaviour) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fail, crash := m.decide(time.Now())
		if crash {
			go panic("told to crash by ORDERS_CRASH_AFTER") // out of reach of the server's recover
			select {}
		}
		if m.faults.latency > 0 {
			select {
			case <-time.After(m.faults.latency):
			case <-r.Context().Done():
				return
			}
		}
		if fail {
			http.Error(w, `{"error":"told to fail"}`, http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (m *misbehaviour) slowStart(ctx context.Context) error {
	if m.faults.failedStart {
		return errors.New("told to fail by ORDERS_FAIL_START")
	}
	select {
	case <-time.After(m.faults.slowStart):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (m *misbehaviour) check() service.Check {
	return service.Check{Name: "told", Action: service.Unready, Probe: func(context.Context) error {
		if m.faults.unhealthy {
			return errors.New("told to be unhealthy by ORDERS_UNHEALTHY")
		}
		return nil
	}}
}

// hang keeps the service from stopping until the kit gives it up.
func (m *misbehaviour) hang() {
	if m.faults.hangOnStop {
		select {}
	}
}
