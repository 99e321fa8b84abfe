package config

import (
	"net"
	"net/netip"
	"strconv"
)

// preview looks at where a new release is shown. The router refuses the same.
func (c *checker) preview() {
	const at = "traffic.previewPort"
	t := c.t.Traffic
	switch {
	case t.PreviewPort == "" && t.PreviewFirewall:
		c.problem("traffic.previewFirewall", "add previewPort: 9090, or remove it", "`traffic.previewFirewall` opens the port of `traffic.previewPort`, which is missing")
	case t.PreviewPort == "":
	case t.Router == "none":
		c.problem(at, "remove it", "`%s`: with `traffic.router: none` nobody serves it", at)
	case !listens(t.PreviewPort):
		c.problem(at, `write 9090 for 127.0.0.1:9090, or "10.0.0.1:9090"`, "`%s`: %q is no port and no address with one", at, shorten(t.PreviewPort))
	case c.taken(t.PreviewPort):
		c.problem(at, "choose another port", "`%s`: %s is taken already by `traffic.listen`, `traffic.metrics` or `service.ports`", at, t.PreviewPort)
	case t.PreviewFirewall && loopback(t.PreviewPort):
		c.problem("traffic.previewFirewall", `write previewPort: ":9090", or remove it`, "`traffic.previewFirewall`: %s cannot be reached from elsewhere", t.PreviewPort)
	}
}

// listens reports whether s is an address to listen at: an IP or nothing, and a port.
func listens(s string) bool {
	host, _, err := net.SplitHostPort(s)
	_, errIP := netip.ParseAddr(host)
	return err == nil && address(s) && (host == "" || errIP == nil)
}

func loopback(s string) bool {
	a, err := netip.ParseAddrPort(s)
	return err == nil && a.Addr().IsLoopback()
}

// taken reports whether another of the service's listeners has the port, and
// the address or one that stands for all.
func (c *checker) taken(s string) bool {
	slots := c.t.Service.Ports
	for _, other := range []string{c.t.Traffic.Listen, c.t.Traffic.Metrics, "127.0.0.1:" + strconv.Itoa(slots.Blue), "127.0.0.1:" + strconv.Itoa(slots.Green)} {
		if meet(s, other) {
			return true
		}
	}
	return false
}

func meet(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	all := func(host string) bool {
		ip, err := netip.ParseAddr(host)
		return host == "" || err == nil && ip.IsUnspecified()
	}
	return errA == nil && errB == nil && portA == portB && (hostA == hostB || all(hostA) || all(hostB))
}
