package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

var (
	hostRule       = regexp.MustCompile(`(?i)^(\*\.)?[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*$`)
	pathRule       = regexp.MustCompile(`^(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*/?$`)
	thumbprintRule = regexp.MustCompile(`^[0-9A-Fa-f]{40}$`)
)

// public looks at what of the public address belongs to the service, and how
// it is served. The router on the host refuses the same.
func (c *checker) public() {
	t := c.t.Traffic
	c.publicNames(t)
	if t.Mode == "tcp" {
		c.onlyTCP(t)
	}
	for i, cert := range t.TLS.Certificates {
		c.certificate(fmt.Sprintf("traffic.tls.certificates[%d]", i), cert)
	}
	if s := t.Sticky; s.Cookie != "" && s.Header != "" || s.Address && s.Cookie+s.Header != "" {
		c.problem("traffic.sticky", "write {cookie: NAME}, {header: NAME} or {address: true}", "`traffic.sticky` has more than one key to go by")
	}
	if m := t.Match; m.Header == "" && m.Cookie == "" && len(m.Values)+len(m.Allow) > 0 {
		c.problem("traffic.match", "add header: X-Canary under match:", "`traffic.match` names no header and no cookie")
	}
	for i, v := range t.Match.Values {
		if v == "" || v == "never" {
			c.problem(fmt.Sprintf("traffic.match.values[%d]", i), "never always means stable", "`traffic.match.values`: %q cannot choose the canary", v)
		}
	}
	for _, n := range [][2]string{
		{"sticky.cookie", t.Sticky.Cookie}, {"sticky.header", t.Sticky.Header}, {"match.header", t.Match.Header}, {"match.cookie", t.Match.Cookie},
	} {
		if n[1] != "" && !nameRule.MatchString(n[1]) {
			c.problem("traffic."+n[0], "use letters, digits and dashes", "`traffic.%s`: %q is no name", n[0], shorten(n[1]))
		}
	}
	c.networks("traffic.match.allow", t.Match.Allow)
	c.networks("traffic.trustedProxies", t.TrustedProxies)
}

func (c *checker) publicNames(t Traffic) {
	for i, h := range t.Hosts {
		at := fmt.Sprintf("traffic.hosts[%d]", i)
		_, errIP := netip.ParseAddr(h)
		switch {
		case len(h) > 253 || errIP != nil && !hostRule.MatchString(h):
			c.problem(at, "write shop.example.com or *.example.com, without a port", "`%s`: %q is no host name", at, shorten(h))
		case slices.ContainsFunc(t.Hosts[:i], func(o string) bool { return strings.EqualFold(o, h) }):
			c.problem(at, "remove one of the two", "`%s`: %s is there twice", at, h)
		}
	}
	if p := t.Path; p != "" && (!pathRule.MatchString(p) || strings.Contains(p+"/", "/../") || strings.Contains(p+"/", "/./")) {
		c.problem("traffic.path", "write a prefix like /api", "`traffic.path`: %q is no plain path", shorten(p))
	}
}

// onlyTCP reports what needs to read requests.
func (c *checker) onlyTCP(t Traffic) {
	for _, n := range []struct {
		key string
		set bool
	}{
		{"hosts", len(t.Hosts) > 0}, {"path", t.Path != ""}, {"speak", t.Speak == "h2c"}, {"trustedProxies", len(t.TrustedProxies) > 0},
		{"sticky", t.Sticky.Cookie+t.Sticky.Header != ""}, {"match", t.Match.Cookie+t.Match.Header != ""}, {"accessLog", t.AccessLog.Enabled},
	} {
		if n.set {
			c.problem("traffic."+n.key, "remove it, or mode: http", "`traffic.%s` needs HTTP, and the mode is tcp", n.key)
		}
	}
	if c.t.Rollout.Hold > 0 {
		c.problem("rollout.hold", "remove it, or write hold: 0s: connections are closed for a moment", "`rollout.hold` needs HTTP, and the mode is tcp")
	}
}

func (c *checker) certificate(at string, cert Certificate) {
	kinds := 0
	for _, set := range []bool{cert.Cert+cert.Key != "", cert.Thumbprint != "", cert.Subject != ""} {
		if set {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		c.problem(at, `write {cert: C:\tls\shop.pem, key: C:\tls\shop.key}, {thumbprint: …} or {subject: shop.example.com}`, "`%s`: want files, or a thumbprint, or a subject", at)
	case cert.Cert+cert.Key != "" && (cert.Cert == "" || cert.Key == ""):
		c.problem(at, "name both files", "`%s`: cert and key belong together", at)
	case cert.Thumbprint != "" && !thumbprintRule.MatchString(cert.Thumbprint):
		c.problem(at+".thumbprint", "write its 40 hexadecimal digits, without spaces", "`%s.thumbprint`: %q is none", at, shorten(cert.Thumbprint))
	}
}

func (c *checker) networks(at string, list []string) {
	for i, text := range list {
		_, errAddr := netip.ParseAddr(text)
		_, errNet := netip.ParsePrefix(text)
		if errAddr != nil && errNet != nil {
			c.problem(fmt.Sprintf("%s[%d]", at, i), "write 10.0.0.1 or 10.0.0.0/8", "`%s[%d]`: %q is no address and no network", at, i, shorten(text))
		}
	}
}
