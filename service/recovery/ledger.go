package recovery

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

// maxFailures bounds what a ledger keeps.
const maxFailures = 100

// ledger is when something failed; with a path it outlives the process.
type ledger struct {
	path string

	mu       sync.Mutex
	failures []time.Time
}

// openLedger takes a damaged one for empty: it must not keep a service down.
func openLedger(path string) *ledger {
	l := &ledger{path: path}
	if b, err := readChecked(path); err == nil {
		if json.Unmarshal(b.payload, &l.failures) != nil {
			l.failures = nil
		}
	}
	return l
}

func (l *ledger) count(since time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, at := range l.failures {
		if at.After(since) {
			n++
		}
	}
	return n
}

// add records a failure and forgets those that no window reaches.
func (l *ledger) add(at time.Time, window time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = slices.DeleteFunc(append(l.failures, at.Round(0)), func(t time.Time) bool { return at.Sub(t) > window })
	l.failures = l.failures[max(0, len(l.failures)-maxFailures):]
	return l.save()
}

func (l *ledger) clear() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = nil
	return l.save()
}

func (l *ledger) save() error {
	if l.path == "" {
		return nil
	}
	b, err := json.Marshal(l.failures)
	if err == nil {
		err = writeChecked(l.path, 1, b)
	}
	if err != nil {
		return fmt.Errorf("record failure: %w", err)
	}
	return nil
}
