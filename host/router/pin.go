package router

import (
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
)

// pins tie a client's connection to connections of instances, one per
// service: NTLM and Negotiate log on a connection, not a request, and whoever
// used it next would be taken for the one who logged on.
type pins struct {
	mu     sync.Mutex
	of     map[*service]*pin
	closed bool
}

// pin is a pool of at most one connection, which nobody else uses.
type pin struct {
	choice
	pool  *http.Transport
	proxy *httputil.ReverseProxy
}

// logsOn reports whether the request may log its connection on.
func logsOn(h http.Header) bool {
	for _, value := range h["Authorization"] {
		scheme, _, _ := strings.Cut(strings.TrimLeft(value, " \t"), " ")
		if strings.EqualFold(scheme, "NTLM") || strings.EqualFold(scheme, "Negotiate") {
			return true
		}
	}
	return false
}

func (p *pins) get(s *service) *pin {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of[s]
}

// tie replaces the service's pin; whoever was logged on has to do it again.
func (p *pins) tie(s *service, to choice) *pin {
	pool := newPool(to.in.conns)
	pool.MaxConnsPerHost, pool.IdleConnTimeout = 1, clientIdleTimeout
	if to.lot == single {
		to.lot = stuck // one draw for all that follow
	}
	next := &pin{to, pool, newProxy(to.in.addr, pool, s.env)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.of[s]; old != nil {
		old.pool.CloseIdleConnections()
	}
	if p.of == nil {
		p.of = map[*service]*pin{}
	}
	p.of[s] = next
	if p.closed {
		pool.DisableKeepAlives = true
	}
	return next
}

// close ends the connections that are tied to this one, those that are in use
// as soon as they are not.
func (p *pins) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, one := range p.of {
		one.pool.CloseIdleConnections()
	}
}

// claimPinned takes the instance that the client's connection is tied to, for
// as long as it may get requests at all.
func (s *service) claimPinned(conn *clientConn, c client) *exchange {
	one := conn.pins.get(s)
	if one == nil {
		return nil
	}
	t := s.table.Load()
	held := one.in == t.stable || one.in == t.canary && t.route.Lease > 0 && !t.expired(s.env.Now())
	if one.shown {
		held = one.in == t.shown
	}
	if !held || !one.in.claim() {
		return nil
	}
	return &exchange{service: s, choice: one.choice, client: s.keyOf(t, c, one.key)}
}

// via gives the connections by which a request gets to its instance. In HTTP/2
// the requests of several people may share one connection of a client: one of
// theirs that logs on gets one for itself alone.
func (s *service) via(c *clientConn, r *http.Request, x *exchange) http.Handler {
	one := c.pins.get(s)
	switch {
	case one != nil && one.in == x.in:
		return one.proxy
	case one == nil && !logsOn(r.Header):
		return x.in.kept
	case r.ProtoMajor != 1:
		return x.in.once
	}
	return c.pins.tie(s, x.choice).proxy
}
