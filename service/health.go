package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Action is what a failing check does.
type Action string

// Actions.
const (
	Alert   Action = "alert"   // is told, and nothing else
	Degrade Action = "degrade" // makes the service DEGRADED until it is well again
	Unready Action = "unready" // DEGRADED, and /readyz and /healthz answer 503
)

// Check is a look at the service's health, or at what it depends on.
type Check struct {
	// Name is what reports and logs call it; one of a kind.
	Name string
	// Every is the time between two looks. Default 10 s.
	Every time.Duration
	// Timeout bounds one look; later counts as a failure. Default Every, at
	// most 5 s.
	Timeout time.Duration
	// Failures in a row begin the action. Default 1.
	Failures int
	// Successes in a row end it. Default 2.
	Successes int
	// Action of a failing check. Default Alert.
	Action Action
	// Probe looks: nil is well, an error says what is wrong.
	Probe func(ctx context.Context) error
}

// HealthEvent says that a check began to fail, or is well again.
type HealthEvent struct {
	Check   string    // its name
	Action  Action    // what it does while it fails
	Failing bool      // false: it is well again
	Reason  string    // the last failure; empty when well
	At      time.Time // of the look that made the change
}

// CheckResult is a check in a [Report].
type CheckResult struct {
	Name    string    `json:"name"`            // of the check
	Action  Action    `json:"action"`          // what it does while it fails
	Failing bool      `json:"failing"`         // as often in a row as it takes
	Error   string    `json:"error,omitempty"` // of the last look
	At      time.Time `json:"at,omitzero"`     // of the last look
}

// health runs the checks and keeps the service's state by them.
type health struct {
	s  *Service
	mu sync.Mutex
	// checks in the order in which they were added
	checks []*checked
}

type checked struct {
	Check
	last      CheckResult
	inARow    int // looks with the result of the last one
	lastError error
}

func newHealth(s *Service) *health { return &health{s: s} }

func (h *health) add(checks []Check) error {
	for _, c := range checks {
		if c.Name == "" || c.Probe == nil || c.Every < 0 {
			return fmt.Errorf("health check %q: want a name, a Probe, and Every not below zero", c.Name)
		}
		if slices.ContainsFunc(h.checks, func(k *checked) bool { return k.Name == c.Name }) {
			return fmt.Errorf("health check %q is there twice", c.Name)
		}
		c = withDefaults(c)
		h.checks = append(h.checks, &checked{Check: c, last: CheckResult{Name: c.Name, Action: c.Action}})
	}
	return nil
}

func withDefaults(c Check) Check {
	if c.Every == 0 {
		c.Every = 10 * time.Second
	}
	if c.Timeout <= 0 {
		c.Timeout = min(c.Every, 5*time.Second)
	}
	c.Failures = max(c.Failures, 1)
	if c.Successes <= 0 {
		c.Successes = 2
	}
	if c.Action == "" {
		c.Action = Alert
	}
	return c
}

// run looks at each check by itself, from the start on, until ctx ends.
func (h *health) run(ctx context.Context, beside *sync.WaitGroup) {
	for _, c := range h.checks {
		beside.Go(func() {
			every(ctx, c.Every, func() { h.look(ctx, c) })
		})
	}
}

func (h *health) look(ctx context.Context, c *checked) {
	limited, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("no answer within %s", c.Timeout))
	defer cancel()
	err := c.Probe(limited)
	if ctx.Err() != nil {
		return // the end of the service is no news about what it looks at
	}
	if err != nil && errors.Is(err, context.DeadlineExceeded) && limited.Err() != nil {
		err = context.Cause(limited)
	}
	if e, changed := h.count(c, err); changed {
		h.tell(e)
	}
}

// count takes a result in, and says whether the check changed by it.
func (h *health) count(c *checked, err error) (HealthEvent, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.last.At.IsZero() || (err == nil) != (c.lastError == nil) {
		c.inARow = 0
	}
	c.inARow++
	c.lastError, c.last.At, c.last.Error = err, time.Now(), ""
	if err != nil {
		c.last.Error = err.Error()
	}
	switch {
	case err != nil && !c.last.Failing && c.inARow >= c.Failures:
		c.last.Failing = true
	case err == nil && c.last.Failing && c.inARow >= c.Successes:
		c.last.Failing = false
	default:
		return HealthEvent{}, false
	}
	return HealthEvent{Check: c.Name, Action: c.Action, Failing: c.last.Failing, Reason: c.last.Error, At: c.last.At}, true
}

func (h *health) tell(e HealthEvent) {
	if e.Failing {
		h.s.log.Error("health check fails", "check", e.Check, "action", e.Action, "error", e.Reason)
	} else {
		h.s.log.Info("health check is well again", "check", e.Check)
	}
	for _, f := range h.s.o.onHealth {
		f(e)
	}
	h.settled()
}

// settled brings the state in line with the checks; also called at READY.
func (h *health) settled() {
	reasons := h.degrading()
	switch state := h.s.State().To; {
	case state == Running && len(reasons) > 0:
		h.enter(Degraded, strings.Join(reasons, "; "))
	case state == Degraded && len(reasons) == 0:
		h.enter(Running, "all health checks are well")
	}
}

// enter may come too late for a service that stops meanwhile.
func (h *health) enter(to State, reason string) {
	if err := h.s.machine.enter(to, reason); err != nil && !errors.Is(err, ErrTransition) {
		h.s.log.Error("state", "error", err)
	}
}

func (h *health) degrading() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var reasons []string
	for _, c := range h.checks {
		if c.last.Failing && c.Action != Alert {
			reasons = append(reasons, c.Name+": "+c.last.Error)
		}
	}
	return reasons
}

func (h *health) unready() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.checks, func(c *checked) bool {
		return c.Action == Unready && (c.last.Failing || c.last.At.IsZero()) // not looked yet is not well
	})
}

func (h *health) results() []CheckResult {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []CheckResult
	for _, c := range h.checks {
		all = append(all, c.last)
	}
	return all
}
