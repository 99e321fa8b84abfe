package router

import (
	"net/http"
	"net/netip"
	"strings"
)

// Headers by which an instance learns who asked, for what, and how.
const (
	forwardedFor   = "X-Forwarded-For"
	forwardedHost  = "X-Forwarded-Host"
	forwardedProto = "X-Forwarded-Proto"
)

// cleanForwarded makes the request's headers say the truth about its client,
// and gives the client's address. Of a proxy that is trusted the chain is
// continued; what anybody else says is dropped, in every spelling that some
// framework takes for the same.
func cleanForwarded(r *http.Request, trusted networks, https bool) netip.Addr {
	peer := peerOf(r.RemoteAddr)
	h := r.Header
	chain := h[forwardedFor]
	host, proto := h.Get(forwardedHost), h.Get(forwardedProto)
	known := len(trusted) > 0 && trusted.contain(peer)
	for name := range h {
		if forges(name) && (!known || name == "Forwarded" || strings.Contains(name, "_")) {
			delete(h, name)
		}
	}
	addr := peer
	if !known {
		chain, host, proto = nil, "", ""
	} else {
		addr = origin(chain, peer, trusted)
	}
	h[forwardedFor] = []string{strings.Join(append(chain[:len(chain):len(chain)], text(peer)), ", ")}
	h[forwardedHost] = []string{either(host, r.Host)}
	h[forwardedProto] = []string{either(proto, scheme(https))}
	return addr
}

// dropUpgrade leaves upgrades to tunnels, like WebSocket. Over HTTP/2 or TLS
// inside its connection a client would talk to the instance past the router.
func dropUpgrade(h http.Header) {
	values, asked := h["Upgrade"]
	if !asked {
		return
	}
	to := strings.ToLower(strings.Join(values, ","))
	if strings.ContainsAny(to, ", /") || strings.HasPrefix(to, "h2") || strings.HasPrefix(to, "tls") || strings.HasPrefix(to, "http") {
		delete(h, "Upgrade")
		delete(h, "Http2-Settings")
	}
}

// forges reports a header that tells where a request came from.
func forges(name string) bool {
	const mark = "X-FORWARDED-"
	if len(name) < len("FORWARDED") || name[0]|0x20 != 'x' && name[0]|0x20 != 'f' {
		return false
	}
	name = strings.ReplaceAll(strings.ToUpper(name), "_", "-")
	return strings.HasPrefix(name, mark) || name == "FORWARDED" || name == "X-REAL-IP"
}

// origin is the last address of the chain that no trusted proxy has.
func origin(chain []string, peer netip.Addr, trusted networks) netip.Addr {
	addr := peer
	hops := strings.Split(strings.Join(chain, ","), ",")
	for i := len(hops) - 1; i >= 0 && trusted.contain(addr); i-- {
		hop := strings.TrimSpace(hops[i])
		next, err := netip.ParseAddr(strings.Trim(hop, "[]"))
		if err != nil {
			port, errPort := netip.ParseAddrPort(hop) // some write one
			if errPort != nil {
				break
			}
			next = port.Addr()
		}
		addr = next
	}
	return addr.Unmap().WithZone("")
}

// peerOf is the other end of the connection.
func peerOf(remote string) netip.Addr {
	p, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap()
}

func text(addr netip.Addr) string {
	if !addr.IsValid() {
		return "unknown"
	}
	return addr.String()
}

func scheme(https bool) string {
	if https {
		return "https"
	}
	return "http"
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
