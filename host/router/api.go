// Package router is the reverse proxy that stands on a host's public ports:
// weights in basis points, drain, counters per slot, leases. It runs as a
// service of low privilege and is driven by the guard over an authenticated
// loopback channel (control.go). It never touches the service manager.
package router

import (
	"time"

	"github.com/go-shipper/shipper/release"
)

// Route is the whole truth about one service: what is PUT is what holds.
type Route struct {
	Service string                  `json:"service"`
	Listen  string                  `json:"listen"` // public host:port
	Slots   map[release.Slot]string `json:"slots"`  // loopback host:port of each instance
	Stable  release.Slot            `json:"stable"` // empty: no release yet; the route answers 503
	Canary  release.Slot            `json:"canary"` // empty: none
	Weight  release.Weight          `json:"weight"` // of the canary
	// Lease is how long Weight holds from the moment the router takes it;
	// afterwards everything goes to Stable. 0 only with Weight 0.
	Lease        time.Duration `json:"lease"`
	DrainTimeout time.Duration `json:"drainTimeout"`
	Boot         string        `json:"boot"` // hold | refuse: until stable answers after a boot
}

// View is a route as it is now, read back.
type View struct {
	Route
	Generation uint64                 `json:"generation"` // If-Match of the next change
	Epoch      string                 `json:"epoch"`      // of the counters; changes with each start of the router
	Remaining  time.Duration          `json:"remaining"`  // of the lease
	Expired    bool                   `json:"expired"`    // the lease ran out: all on stable
	Inflight   map[release.Slot]int64 `json:"inflight"`
}
