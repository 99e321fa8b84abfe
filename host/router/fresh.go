package router

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/go-shipper/shipper/host/router/certs"
)

// certificates keeps the set of a route whose tls stays the same.
func (s *service) certificates(old *table, route Route) *certs.Set {
	switch {
	case route.TLS == nil:
		return nil
	case old.certs != nil && reflect.DeepEqual(old.route.TLS, route.TLS):
		return old.certs
	}
	return certs.Open(route.TLS.Certificates, s.env.Now)
}

// checkCertificates refuses a route with new certificates that are not good.
func (r *Router) checkCertificates(s *service, route Route) error {
	if route.TLS == nil || s != nil && reflect.DeepEqual(s.table.Load().route.TLS, route.TLS) {
		return nil
	}
	if _, err := certs.Load(route.TLS.Certificates, r.env.Now); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// keepFresh looks for renewed certificates until ctx ends.
func (r *Router) keepFresh(ctx context.Context) {
	tick := time.NewTicker(r.env.Renew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.refresh()
		}
	}
}

// refresh reads files without the lock: they may lie on a slow disk.
func (r *Router) refresh() {
	sets := map[string]*certs.Set{}
	r.mu.Lock()
	for name, s := range r.services {
		if set := s.table.Load().certs; set != nil {
			sets[name] = set
		}
	}
	r.mu.Unlock()
	for name, set := range sets {
		for _, err := range set.Refresh() {
			r.env.Log.Error("certificate is not renewed", "service", name, "err", err)
		}
	}
}
