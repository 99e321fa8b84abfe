package analysis

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Usage is what a canary's processes use of their host.
type Usage struct {
	CPU     time.Duration // since it began
	Memory  int64         // bytes that are resident
	Handles int64
}

// Limits are absolute: a canary that uses more has failed. 0 is no limit.
type Limits struct {
	CPU     float64 // processors kept busy, on average over cpuTime
	Memory  int64
	Handles int64
}

// cpuTime is how long a canary must be too busy.
const cpuTime = 10 * time.Second

// Resources holds canaries to their limits, once they are warm: what a
// process needs to start is no sign of anything.
type Resources struct {
	limits Limits
	hosts  map[string]*meter
	silent map[string]time.Time // since when a host does not tell, as the last look at it says
}

// meter is one host's canary.
type meter struct {
	first time.Time
	mark  Usage // at
	at    time.Time
	cores float64
}

// NewResources returns limits that no host has broken.
func NewResources(l Limits) *Resources {
	return &Resources{limits: l, hosts: map[string]*meter{}, silent: map[string]time.Time{}}
}

// Observe takes what a host's canary uses and says which limit it breaks. Of
// a host that does not tell Untold speaks.
func (r *Resources) Observe(now time.Time, host string, u *Usage) (why string, broken bool) {
	switch _, silent := r.silent[host]; {
	case r.limits == (Limits{}):
		return "", false
	case u == nil:
		if !silent {
			r.silent[host] = now
		}
		return "", false
	}
	delete(r.silent, host)
	m := r.hosts[host]
	if m == nil {
		m = &meter{first: now, mark: *u, at: now}
		r.hosts[host] = m
	}
	if span := now.Sub(m.at); span >= cpuTime {
		m.cores = (u.CPU - m.mark.CPU).Seconds() / span.Seconds()
		m.mark, m.at = *u, now
	}
	if now.Sub(m.first) < warmTime {
		m.cores = 0
		return "", false
	}
	switch l := r.limits; {
	case l.CPU > 0 && m.cores > l.CPU:
		return fmt.Sprintf("%s: canary keeps %.2f processors busy, limit %g", host, m.cores, l.CPU), true
	case l.Memory > 0 && u.Memory > l.Memory:
		return fmt.Sprintf("%s: canary's working set is %d MB, limit %d MB", host, u.Memory>>20, l.Memory>>20), true
	case l.Handles > 0 && u.Handles > l.Handles:
		return fmt.Sprintf("%s: canary has %d handles open, limit %d", host, u.Handles, l.Handles), true
	}
	return "", false
}

// Untold says of which host it is not known whether it keeps the limits: it
// never told what its canary uses, or not for a while.
func (r *Resources) Untold(now time.Time) string {
	for _, host := range slices.Sorted(maps.Keys(r.silent)) {
		if r.hosts[host] == nil {
			return host + " does not tell what its canary uses: nobody knows whether it keeps analysis.limits"
		}
		if silent := now.Sub(r.silent[host]); silent >= staleAfter {
			return fmt.Sprintf("%s does not tell for %s what its canary uses: nobody knows whether it keeps analysis.limits", host, silent.Round(time.Second))
		}
	}
	return ""
}

// Forget drops a host that is looked at no more.
func (r *Resources) Forget(host string) { delete(r.silent, host) }
