package router

import (
	"net"
	"slices"
	"sort"
	"strings"

	"github.com/go-shipper/shipper/host/router/certs"
	"github.com/go-shipper/shipper/host/rpc"
)

// routes says which service answers what on one public address. It is an
// immutable snapshot.
type routes struct {
	hosts  map[string][]place // by name, "*.example.com", or "" for every other
	tcp    *service           // alone on its address; nil: HTTP
	secure bool               // TLS
	certs  []*certs.Set
}

// place is a path prefix and who answers below it.
type place struct {
	path    string
	service *service
}

func newRoutes(behind []*service) *routes {
	t := &routes{hosts: map[string][]place{}}
	for _, s := range behind {
		now := s.table.Load()
		route := now.route
		if route.Mode == rpc.ModeTCP {
			t.tcp = s
		}
		if now.certs != nil {
			t.secure, t.certs = true, append(t.certs, now.certs)
		}
		for _, host := range route.names() {
			t.hosts[host] = append(t.hosts[host], place{route.prefix(), s})
		}
	}
	for _, places := range t.hosts {
		sort.Slice(places, func(i, j int) bool { return len(places[i].path) > len(places[j].path) })
	}
	return t
}

// find gives the service whose host is the most exact, and below it the one
// with the longest path: the whole name, then *. with the name behind its
// first label, then those of every host.
func (t *routes) find(host, path string) *service {
	if only := t.hosts[""]; len(t.hosts) == 1 && len(only) == 1 && only[0].path == "" {
		return only[0].service // by far the most frequent
	}
	host = hostname(host)
	_, parent, _ := strings.Cut(host, ".")
	for _, name := range []string{host, "*." + parent, ""} {
		for _, p := range t.hosts[name] {
			if below(path, p.path) {
				return p.service
			}
		}
	}
	return nil
}

// below reports whether path is prefix or lies under it; /api is no prefix of
// /apix.
func below(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/' || prefix == "")
}

// hostname is a Host header as routes know it: no port, no dot at its end,
// lower case.
func hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// names are the hosts of a route as keys.
func (r Route) names() []string {
	if len(r.Hosts) == 0 {
		return []string{""}
	}
	names := make([]string, len(r.Hosts))
	for i, h := range r.Hosts {
		names[i] = hostname(h)
	}
	return names
}

// prefix is the path without the slash at its end: "/" and "" are every path.
func (r Route) prefix() string { return strings.TrimRight(r.Path, "/") }

// Collide says why two routes cannot be served side by side; "" if they can.
func Collide(there, want Route) string {
	switch {
	case !overlap(there.Listen, want.Listen):
		return ""
	case there.Listen != want.Listen || there.Service == want.Service:
		return "owns " + there.Listen
	case there.Mode == rpc.ModeTCP || want.Mode == rpc.ModeTCP:
		return "shares " + there.Listen + ", which a tcp service cannot"
	case (there.TLS == nil) != (want.TLS == nil):
		return "shares " + there.Listen + ", and only one of the two has tls"
	case there.prefix() != want.prefix():
		return ""
	}
	for _, name := range there.names() {
		if slices.Contains(want.names(), name) {
			return "answers to host " + orAny(name) + " and path " + orAny(there.prefix()) + " on " + there.Listen
		}
	}
	return ""
}

func orAny(s string) string {
	if s == "" {
		return "(any)"
	}
	return s
}
