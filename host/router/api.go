// Package router is the reverse proxy that stands on a host's public ports:
// weights in basis points, drain, counters per slot, leases. It runs as a
// service of low privilege (Run) and is driven by the guard over an
// authenticated loopback channel (Client). It never touches the service
// manager. docs/ROUTER.md tells it in words.
package router

import (
	"errors"
	"time"

	"github.com/go-shipper/shipper/host/router/certs"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// How a route answers after a start of the router, until stable can be connected.
const (
	BootHold   = "hold"   // requests wait, 30 s at most
	BootRefuse = "refuse" // 503 with Retry-After
)

// Route is the whole truth about one service: what is PUT is what holds.
// Several services may share one Listen if Hosts or Path tell them apart.
type Route struct {
	Service string `json:"service"`
	Listen  string `json:"listen"` // public host:port
	rpc.Public
	rpc.Watch
	Slots  map[release.Slot]string `json:"slots"`  // loopback IP:port of each instance
	Stable release.Slot            `json:"stable"` // empty: no release yet; what Weight leaves is answered by 503
	Canary release.Slot            `json:"canary"` // empty: none
	Weight release.Weight          `json:"weight"` // of the canary
	// Shown answers at Preview, whatever its weight; empty: 503 there.
	Shown release.Slot `json:"shown,omitempty"`
	// Lease is how long Weight holds from the moment the router takes it;
	// afterwards everything goes to Stable. 0 only with Weight 0.
	Lease        time.Duration `json:"lease"`
	DrainTimeout time.Duration `json:"drainTimeout"` // 0: 30 s
	// Hold lets requests wait for so long from the moment the router takes it, or
	// until a route without it is put: HoldLimit of them, 0: 10,000. More get 503.
	// Requests for Health.HTTP are answered 200 meanwhile.
	Hold      time.Duration `json:"hold,omitempty"`
	HoldLimit int           `json:"holdLimit,omitempty"`
	// TunnelGrace is over how long the WebSockets of a slot that drains are told
	// to connect again, one after another; 0: half of DrainTimeout.
	TunnelGrace time.Duration `json:"tunnelGrace,omitempty"`
	Boot        string        `json:"boot"` // hold (also if empty) | refuse
	// Salt mixes who is drawn for the canary; one per rollout.
	Salt string `json:"salt,omitempty"`
}

// View is a route as it is now, read back.
type View struct {
	Route                             // Weight is 0 once the lease ran out
	Generation uint64                 `json:"generation"` // If-Match of the next change; an expiry changes it too
	Epoch      string                 `json:"epoch"`      // of the counters; changes with each start of the router
	Remaining  time.Duration          `json:"remaining"`  // of the lease
	Expired    bool                   `json:"expired"`    // the lease ran out: all on stable
	Inflight   map[release.Slot]int64 `json:"inflight"`
	Draining   []release.Slot         `json:"draining,omitempty"` // take nothing new until a role is given to them again
	Held       time.Duration          `json:"held,omitempty"`     // what is left of Hold
	Waiting    int64                  `json:"waiting,omitempty"`  // requests that are held
	Ready      bool                   `json:"ready"`              // false: after a start, stable did not answer yet
	// Effective is the canary's share now: less than Weight while it warms up,
	// 0 while it is out of use.
	Effective release.Weight          `json:"effective"`
	Out       map[release.Slot]string `json:"out,omitempty"` // why a slot with a role is unhealthy
	// FailOpen: stable is unhealthy, and gets its requests all the same.
	FailOpen bool `json:"failOpen,omitempty"`
	// MetricsProblem says why the address for metrics is not served.
	MetricsProblem string `json:"metricsProblem,omitempty"`
	PreviewProblem string `json:"previewProblem,omitempty"` // the same of Preview
	Problem        string `json:"problem,omitempty"`        // why the public address is not served
	// Certificates are those that are served.
	Certificates []certs.Status `json:"certificates,omitempty"`
}

// Self is the router that serves.
type Self struct {
	Name      string `json:"name"` // as Options named it
	PID       int    `json:"pid"`
	Finishing bool   `json:"finishing,omitempty"` // the router before it still has requests in flight
}

// Counters are what a service's slots answered since Epoch.
type Counters struct {
	Epoch string                            `json:"epoch"`
	Slots map[release.Slot]rpc.SlotCounters `json:"slots"`
}

// Errors that callers decide on.
var (
	ErrNotFound    = errors.New("no such route")
	ErrStale       = errors.New("the route changed meanwhile")
	ErrConflict    = errors.New("conflict")
	ErrInvalid     = errors.New("invalid route")
	ErrUnavailable = errors.New("the router does not answer")
)
