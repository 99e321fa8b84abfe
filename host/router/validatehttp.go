package router

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/problem"
)

// Bounds of lists in a route.
const (
	maxList = 64
	maxText = 1024 // bytes of a path, a name of a file, a value
)

func (r Route) checkHosts() error {
	if len(r.Hosts) > maxList {
		return fmt.Errorf("%d hosts: want at most %d", len(r.Hosts), maxList)
	}
	for i, h := range r.Hosts {
		if !validHost(h) {
			return fmt.Errorf("host %q: want shop.example.com, *.example.com or an IP address, without a port", h)
		}
		if slices.Contains(r.names()[:i], hostname(h)) {
			return fmt.Errorf("host %q is there twice", h)
		}
	}
	return nil
}

func validHost(h string) bool {
	if _, err := netip.ParseAddr(h); err == nil {
		return true
	}
	name := strings.TrimPrefix(h, "*.")
	if name == "" || len(name) > 253 || strings.Trim(name, ".-") != name || strings.Contains(name, "..") {
		return false
	}
	return !strings.ContainsFunc(name, func(c rune) bool { return !letterOrDigit(c) && c != '-' && c != '.' && c != '_' })
}

func letterOrDigit(c rune) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' }

func (r Route) checkPath() error {
	p := r.Path
	printable := !strings.ContainsFunc(p, func(c rune) bool { return c <= ' ' || c > '~' })
	plain := !strings.ContainsAny(p, `?#%\`) && !strings.Contains(p, "//") && !strings.Contains(p+"/", "/../") && !strings.Contains(p+"/", "/./")
	if p != "" && (p[0] != '/' || len(p) > maxText || !printable || !plain) {
		return fmt.Errorf("path %q: want a prefix like /api", p)
	}
	return nil
}

func (r Route) checkMode() error {
	switch {
	case r.Mode != "" && r.Mode != rpc.ModeHTTP && r.Mode != rpc.ModeTCP:
		return fmt.Errorf("mode %q: want %s or %s", r.Mode, rpc.ModeHTTP, rpc.ModeTCP)
	case r.Speak != "" && r.Speak != rpc.SpeakHTTP && r.Speak != rpc.SpeakH2C:
		return fmt.Errorf("speak %q: want %s or %s", r.Speak, rpc.SpeakHTTP, rpc.SpeakH2C)
	case r.Mode != rpc.ModeTCP:
		return nil
	case len(r.Hosts) > 0 || r.Path != "":
		return fmt.Errorf("mode %s knows no hosts and paths", rpc.ModeTCP)
	case r.Sticky.Cookie != "" || r.Sticky.Header != "" || r.Match.Header != "" || r.Match.Cookie != "":
		return fmt.Errorf("mode %s knows no headers and cookies", rpc.ModeTCP)
	case r.Speak == rpc.SpeakH2C || len(r.TrustedProxies) > 0:
		return fmt.Errorf("mode %s passes on what it gets: no speak, no trusted proxies", rpc.ModeTCP)
	case r.Hold > 0:
		return problem.New(problem.Failed, "leave hold out: until there is an instance, connections are closed", "mode %s holds no connection", rpc.ModeTCP)
	}
	return nil
}

func (r Route) checkTLS() error {
	if r.TLS == nil {
		return nil
	}
	if n := len(r.TLS.Certificates); n == 0 || n > maxList {
		return fmt.Errorf("tls with %d certificates: want 1 to %d", n, maxList)
	}
	for _, c := range r.TLS.Certificates {
		files, thumb, subject := c.Cert != "" || c.Key != "", c.Thumbprint != "", c.Subject != ""
		switch {
		case files && (c.Cert == "" || c.Key == ""):
			return fmt.Errorf("certificate %q with key %q: want both files", c.Cert, c.Key)
		case files && (thumb || subject) || thumb && subject || !files && !thumb && !subject:
			return fmt.Errorf("a certificate is either cert and key, or thumbprint, or subject")
		case thumb && !validThumbprint(c.Thumbprint):
			return fmt.Errorf("thumbprint %q: want 40 hexadecimal digits", c.Thumbprint)
		case max(len(c.Cert), len(c.Key), len(c.Subject)) > maxText:
			return fmt.Errorf("certificate: a text of more than %d bytes", maxText)
		}
	}
	return nil
}

func validThumbprint(s string) bool {
	return len(s) == 40 && !strings.ContainsFunc(s, func(c rune) bool {
		return !strings.ContainsRune("0123456789abcdefABCDEF", c)
	})
}

func (r Route) checkChoice() error {
	s, m := r.Sticky, r.Match
	switch {
	case s.Cookie != "" && (s.Header != "" || s.Address) || s.Header != "" && s.Address:
		return fmt.Errorf("sticky: want one of cookie, header, address")
	case m.Header == "" && m.Cookie == "" && len(m.Values)+len(m.Allow) > 0:
		return fmt.Errorf("match: values and allow need a header or a cookie")
	case max(len(m.Values), len(m.Allow), len(r.TrustedProxies)) > maxList:
		return fmt.Errorf("a list of more than %d", maxList)
	case len(r.Salt) > maxText:
		return fmt.Errorf("salt of more than %d bytes", maxText)
	}
	for _, name := range []string{s.Cookie, s.Header, m.Header, m.Cookie} {
		if name != "" && !validName(name) {
			return fmt.Errorf("header or cookie %q: want letters, digits, dots, dashes or underscores", name)
		}
	}
	for _, v := range m.Values {
		if v == "" || v == wishStable || len(v) > maxText || strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c > '~' }) {
			return fmt.Errorf("match: %q is no value", v)
		}
	}
	return nil
}

func (r Route) checkNetworks() error {
	for what, list := range map[string][]string{"match.allow": r.Match.Allow, "trusted proxy": r.TrustedProxies} {
		for _, text := range list {
			if _, err := parseNetworks([]string{text}); err != nil {
				return fmt.Errorf("%s %q: want an address or a network like 10.0.0.0/8", what, text)
			}
		}
	}
	return nil
}
