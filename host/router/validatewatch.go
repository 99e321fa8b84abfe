package router

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-shipper/shipper/release"
)

// withWatchDefaults fills in what may be left out of what is asked for.
func (r Route) withWatchDefaults() Route {
	if h := &r.Health; h.Checks() {
		h.Interval, h.Timeout = cmp.Or(h.Interval, 5*time.Second), cmp.Or(h.Timeout, 2*time.Second)
		h.Rise, h.Fall = cmp.Or(h.Rise, 2), cmp.Or(h.Fall, 3)
	}
	if o := &r.Outlier; o.Failures > 0 {
		o.Window, o.Eject = cmp.Or(o.Window, 10*time.Second), cmp.Or(o.Eject, 10*time.Second)
		o.MaxEject = max(o.Eject, cmp.Or(o.MaxEject, 5*time.Minute))
	}
	if l := &r.AccessLog; l.On {
		l.MaxBytes, l.MaxAge, l.Keep = cmp.Or(l.MaxBytes, 50<<20), cmp.Or(l.MaxAge, 24*time.Hour), cmp.Or(l.Keep, 7)
	}
	return r
}

func (r Route) checkHealth() error {
	h := r.Health
	switch {
	case h.HTTP != "" && h.TCP:
		return fmt.Errorf("health: want http or tcp, not both")
	case h.HTTP != "" && (!strings.HasPrefix(h.HTTP, "/") || len(h.HTTP) > maxText || strings.ContainsAny(h.HTTP, " \r\n\t")):
		return fmt.Errorf("health.http %q: want a path", h.HTTP)
	case h.Interval != 0 && h.Interval < 100*time.Millisecond || h.Interval > time.Hour:
		return fmt.Errorf("health.interval %v: want 100 ms to 1 h", h.Interval)
	case h.Timeout < 0 || h.Timeout > time.Minute:
		return fmt.Errorf("health.timeout %v: want at most 1 min", h.Timeout)
	case h.Rise < 0 || h.Rise > 100 || h.Fall < 0 || h.Fall > 100:
		return fmt.Errorf("health: rise %d, fall %d: want 1 to 100", h.Rise, h.Fall)
	}
	return nil
}

func (r Route) checkOutlier() error {
	o := r.Outlier
	switch {
	case o.Failures < 0 || o.Failures > 10000:
		return fmt.Errorf("outlier.failures %d: want at most 10000", o.Failures)
	case o.Window < 0 || o.Window > time.Hour || o.Eject < 0 || o.Eject > time.Hour || o.MaxEject < 0 || o.MaxEject > time.Hour:
		return fmt.Errorf("outlier: window %v, eject %v, maxEject %v: want at most 1 h", o.Window, o.Eject, o.MaxEject)
	case r.SlowStart < 0 || r.SlowStart > time.Hour:
		return fmt.Errorf("slowStart %v: want at most 1 h", r.SlowStart)
	}
	return nil
}

func (r Route) checkTelling() error {
	l := r.AccessLog
	switch {
	case !validNames(r.ClientKey.Cookie, r.ClientKey.Header):
		return fmt.Errorf("clientKey: %q, %q: want names", r.ClientKey.Cookie, r.ClientKey.Header)
	case l.MaxBytes < 0 || l.MaxBytes > 1<<40 || l.MaxBytes != 0 && l.MaxBytes < 64<<10:
		return fmt.Errorf("accessLog.maxBytes %d: want 64 KiB to 1 TiB", l.MaxBytes)
	case l.MaxAge < 0 || l.MaxAge > 366*24*time.Hour || l.MaxAge != 0 && l.MaxAge < time.Minute:
		return fmt.Errorf("accessLog.maxAge %v: want 1 min to 366 days", l.MaxAge)
	case l.Keep < 0 || l.Keep > 1000:
		return fmt.Errorf("accessLog.keep %d: want at most 1000", l.Keep)
	}
	return nil
}

// checkSides looks at the addresses beside the public one.
func (r Route) checkSides() error {
	taken := []string{r.Listen, r.Slots[release.Blue], r.Slots[release.Green]}
	for _, side := range [][2]string{{"metrics", r.Metrics}, {"preview", r.Preview}} {
		if side[1] == "" {
			continue
		}
		if _, _, err := splitListen(side[1]); err != nil {
			return fmt.Errorf("%s %q: %w", side[0], side[1], err)
		}
		for _, other := range taken {
			if overlap(side[1], other) {
				return fmt.Errorf("%s %q: %s is taken already", side[0], side[1], other)
			}
		}
		taken = append(taken, side[1])
	}
	return nil
}

// validNames accepts names of headers and cookies, and none.
func validNames(names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return name != "" && !validName(name) })
}
