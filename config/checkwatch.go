package config

import (
	"strings"
	"time"
)

// watch looks at how the router looks after the slots, and at what it tells.
// The router on the host refuses the same.
func (c *checker) watch() {
	t := c.t.Traffic
	if h := t.Health; h != (Health{}) {
		c.health(h)
	}
	if o := t.Outlier; o != (Outlier{}) {
		c.within("traffic.outlier.failures", o.Failures >= 1 && o.Failures <= 10000, "1 to 10000")
		c.within("traffic.outlier.window", between(o.Window, time.Second, time.Hour), "1s to 1h")
		c.within("traffic.outlier.eject", between(o.Eject, time.Second, time.Hour), "1s to 1h")
		c.within("traffic.outlier.maxEject", between(o.MaxEject, o.Eject, time.Hour), "eject to 1h")
	}
	c.within("traffic.tunnelGrace", between(t.TunnelGrace, 0, max(t.DrainTimeout, 0)), "at most traffic.drainTimeout")
	c.within("traffic.slowStart", between(t.SlowStart, 0, time.Hour), "at most 1h")
	for key, name := range map[string]string{"traffic.clientKey.cookie": t.ClientKey.Cookie, "traffic.clientKey.header": t.ClientKey.Header} {
		if name != "" && !nameRule.MatchString(name) {
			c.problem(key, "use letters, digits and dashes", "`%s`: %q is no name", key, shorten(name))
		}
	}
	if l := t.AccessLog; l != (AccessLog{}) {
		c.within("traffic.accessLog.maxMB", l.MaxMB >= 1 && l.MaxMB <= 100_000, "1 to 100000")
		c.within("traffic.accessLog.maxAge", between(l.MaxAge, time.Minute, 366*24*time.Hour), "1m to 8784h")
		c.within("traffic.accessLog.keep", l.Keep >= 1 && l.Keep <= 1000, "1 to 1000")
	}
	c.preview()
	switch {
	case t.Metrics == "":
	case !address(t.Metrics):
		c.problem("traffic.metrics", `write "127.0.0.1:9464"`, "`traffic.metrics`: %q is no address with a port", shorten(t.Metrics))
	case t.Metrics == t.Listen:
		c.problem("traffic.metrics", "choose another port", "`traffic.metrics` is the public address")
	}
}

func (c *checker) health(h Health) {
	switch {
	case (h.HTTP != "") == h.TCP:
		c.problem("traffic.health", "write {http: /healthz} or {tcp: true}", "`traffic.health` has exactly one of http, tcp")
	case h.HTTP != "" && (!strings.HasPrefix(h.HTTP, "/") || strings.ContainsAny(h.HTTP, " \t\r\n")):
		c.problem("traffic.health.http", "write a path on the slot's own port, like /healthz", "`traffic.health.http`: %q is no path", shorten(h.HTTP))
	}
	c.within("traffic.health.interval", between(h.Interval, 100*time.Millisecond, time.Hour), "100ms to 1h")
	c.within("traffic.health.timeout", between(h.Timeout, time.Millisecond, time.Minute), "at most 1m")
	c.within("traffic.health.rise", h.Rise >= 1 && h.Rise <= 100, "1 to 100")
	c.within("traffic.health.fall", h.Fall >= 1 && h.Fall <= 100, "1 to 100")
}

func (c *checker) within(path string, ok bool, want string) {
	if !ok {
		c.problem(path, "write "+want, "`%s` is out of bounds", path)
	}
}

func between(d, least, most time.Duration) bool { return d >= least && d <= most }
