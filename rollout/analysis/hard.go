package analysis

import "fmt"

const (
	// deadAfter canary requests that failed in a row are a dead canary …
	deadAfter = 20
	// … unless stable fails too at the same time, this share of it or more.
	shared = 0.05
	// outAfter looks in a row at which the router gives the canary nothing,
	// because it is unhealthy, are a failure …
	outAfter = 10
	// … unless it says the same of stable.
)

// Hard are the rules that need no statistics: a canary that stops, restarts
// or fails everything has failed. They hold on every host whose new slot
// runs, also on those that have all traffic already.
type Hard struct {
	looks   differ
	live    map[string]Instance
	streaks map[string]*streak
	out     map[string]int // looks in a row
}

// NewHard returns rules that have seen no host yet.
func NewHard() *Hard {
	return &Hard{looks: differ{}, live: map[string]Instance{}, streaks: map[string]*streak{}, out: map[string]int{}}
}

// Observe takes a look at host and says which rule it breaks, if any.
func (h *Hard) Observe(host string, l Look) (why string, broken bool) {
	if why, broken = h.instance(host, l.Live); broken {
		return why, true
	}
	if why, broken = h.unhealthy(host, l); broken {
		return why, true
	}
	s := h.streaks[host]
	if s == nil {
		s = new(streak)
		h.streaks[host] = s
	}
	s.add(h.looks.add(host, l))
	if why, broken = s.dead(); broken {
		why = host + ": " + why
	}
	return why, broken
}

// instance compares the canary's process with the one seen first.
func (h *Hard) instance(host string, now Instance) (string, bool) {
	if now.State == "" {
		return "", false
	}
	if now.State != "running" {
		return fmt.Sprintf("%s: canary is %s, must be running%s", host, now.State, exitText(now)), true
	}
	first, known := h.live[host]
	if !known {
		h.live[host] = now
		return "", false
	}
	if first.PID != now.PID || !first.Started.Equal(now.Started) {
		return fmt.Sprintf("%s: canary restarted: process %d is now %d", host, first.PID, now.PID), true
	}
	return "", false
}

func exitText(now Instance) string {
	if now.State != "stopped" {
		return ""
	}
	return fmt.Sprintf(", exit code %d", now.Exit)
}

// unhealthy asks what the router's checks say, for which no request is needed.
func (h *Hard) unhealthy(host string, l Look) (string, bool) {
	if l.Canary.Out == "" || l.Stable.Out != "" {
		h.out[host] = 0
		return "", false
	}
	h.out[host]++
	return fmt.Sprintf("%s: canary is unhealthy for %d looks, stable is not: %s", host, h.out[host], l.Canary.Out), h.out[host] >= outAfter
}

// streak counts failures of the canary in a row, and what stable did meanwhile.
type streak struct {
	failed int64
	stable Counts
}

// add takes what came since the last look. The order inside a look is not
// known, so one success in it ends the streak.
func (s *streak) add(canary, stable Counts) {
	if canary.Errors < canary.Requests {
		*s = streak{}
		return
	}
	s.failed += canary.Requests
	s.stable.Requests += stable.Requests
	s.stable.Errors += stable.Errors
	if s.failed == 0 {
		s.stable = Counts{}
	}
}

func (s *streak) dead() (string, bool) {
	if s.failed < deadAfter || s.stable.ratio() >= shared {
		return "", false
	}
	return fmt.Sprintf("the last %d canary requests all failed, stable %s meanwhile, limit %d in a row",
		s.failed, ratioText(s.stable), deadAfter), true
}
