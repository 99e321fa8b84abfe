// Package recovery is what a service does about its own failures: work that
// fails or hangs is started again, less and less often, and in the end not any
// more; a crash leaves a report; and work in progress is found again.
//
// A supervisor goes on within the process. What ends the process is counted in
// a file, so that both count together: the service manager's recovery actions,
// or shipper's, start the process again, and after too many crashes it starts
// in maintenance mode: it runs, answers that it is not healthy, and does no work.
package recovery

import "time"

// Policy says how failed work is started again. The zero Policy has the
// defaults.
type Policy struct {
	// Failures after which work is not started any more, until somebody calls
	// Resume; 0 is 5.
	Failures int
	// Window in which failures count; 0 is 10 minutes.
	Window time.Duration
	// Backoff before the second restart; the first comes at once. Each later one
	// waits twice as long, up to MaxBackoff, and up to a fifth less, by chance,
	// so that many services do not start together. 0 is 1 s.
	Backoff time.Duration
	// MaxBackoff; 0 is 1 minute.
	MaxBackoff time.Duration
	// Heartbeat is how often work beats; three missed ones mean that it hangs.
	// 0: it does not beat.
	Heartbeat time.Duration
	// Grace is how long work that hangs may take to end once it is told to.
	// 0 is 10 s.
	Grace time.Duration
}

const missedBeats = 3

func (p Policy) withDefaults() Policy {
	p.Window = or(p.Window, 10*time.Minute)
	p.Backoff = or(p.Backoff, time.Second)
	p.MaxBackoff = or(p.MaxBackoff, time.Minute)
	p.Grace = or(p.Grace, 10*time.Second)
	p.Failures = or(p.Failures, 5)
	return p
}

func or[T comparable](v, def T) T {
	if v == *new(T) {
		return def
	}
	return v
}

// delay before the n-th restart in a row, 1 being the first. chance is in [0,1).
func (p Policy) delay(n int, chance float64) time.Duration {
	if n <= 1 {
		return 0
	}
	d := p.Backoff
	for ; n > 2 && d < p.MaxBackoff; n-- {
		d *= 2
	}
	d = min(d, p.MaxBackoff)
	return d - time.Duration(chance*float64(d)/5)
}
