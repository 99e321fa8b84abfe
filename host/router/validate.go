package router

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-shipper/shipper/release"
)

// DefaultDrain is the drain timeout of a route that names none.
const DefaultDrain = 30 * time.Second

// Bounds of what a route may ask for.
const (
	maxLease        = 24 * time.Hour
	maxDrainTimeout = time.Hour
)

// validName: letters, digits, dots, dashes and underscores, at most 80. By
// hand, because package regexp would travel to every host.
func validName(s string) bool {
	const signs = "._-"
	if s == "" || len(s) > 80 {
		return false
	}
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune(signs, rune(c)) {
			return false
		}
	}
	return true
}

// withDefaults fills in what may be left out.
func (r Route) withDefaults() Route {
	if r.DrainTimeout == 0 {
		r.DrainTimeout = DefaultDrain
	}
	if r.Boot == "" {
		r.Boot = BootHold
	}
	return r.withWatchDefaults()
}

// Validate says what is wrong with the route; its error is an ErrInvalid.
func (r Route) Validate() error {
	for _, check := range []func() error{
		r.checkName, r.checkListen, r.checkSlots, r.checkRoles, r.checkTimes,
		r.checkHosts, r.checkPath, r.checkMode, r.checkTLS, r.checkChoice, r.checkNetworks,
		r.checkHealth, r.checkOutlier, r.checkTelling, r.checkSides,
	} {
		if err := check(); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	return nil
}

func (r Route) checkName() error {
	if !validName(r.Service) {
		return fmt.Errorf("service %q: want 1 to 80 letters, digits, dots, dashes or underscores", r.Service)
	}
	return nil
}

func (r Route) checkListen() error {
	if _, _, err := splitListen(r.Listen); err != nil {
		return fmt.Errorf("listen %q: %w", r.Listen, err)
	}
	return nil
}

func (r Route) checkSlots() error {
	for slot, addr := range r.Slots {
		if slot != release.Blue && slot != release.Green {
			return fmt.Errorf("slot %q: want blue or green", slot)
		}
		ap, err := netip.ParseAddrPort(addr)
		if err != nil || ap.Port() == 0 || !ap.Addr().IsLoopback() || ap.Addr().Zone() != "" {
			return fmt.Errorf("slot %s at %q: want a loopback IP and a port", slot, addr)
		}
	}
	if len(r.Slots) == 2 && r.Slots[release.Blue] == r.Slots[release.Green] {
		return fmt.Errorf("both slots at %s", r.Slots[release.Blue])
	}
	return nil
}

func (r Route) checkRoles() error {
	for role, slot := range map[string]release.Slot{"stable": r.Stable, "canary": r.Canary, "shown": r.Shown} {
		if slot != "" && r.Slots[slot] == "" {
			return fmt.Errorf("%s is %q, which has no address", role, slot)
		}
	}
	switch {
	case r.Canary != "" && r.Canary == r.Stable:
		return fmt.Errorf("canary and stable are both %s", r.Canary)
	case r.Weight < 0 || r.Weight > release.Full:
		return fmt.Errorf("weight %d: want 0 to %d", r.Weight, release.Full)
	case r.Weight > 0 && r.Canary == "":
		return fmt.Errorf("weight %v without a canary", r.Weight)
	}
	return nil
}

func (r Route) checkTimes() error {
	switch {
	case r.Lease < 0 || r.Lease > maxLease:
		return fmt.Errorf("lease %v: want at most %v", r.Lease, maxLease)
	case r.Weight > 0 && r.Lease == 0:
		return fmt.Errorf("weight %v without a lease", r.Weight)
	case r.TunnelGrace < 0 || r.TunnelGrace > maxDrainTimeout:
		return fmt.Errorf("tunnel grace %v: want at most %v", r.TunnelGrace, maxDrainTimeout)
	case r.Hold < 0 || r.Hold > maxHold:
		return fmt.Errorf("hold %v: want at most %v", r.Hold, maxHold)
	case r.HoldLimit < 0:
		return fmt.Errorf("hold limit %d: want 0 or more", r.HoldLimit)
	case r.DrainTimeout < 0 || r.DrainTimeout > maxDrainTimeout:
		return fmt.Errorf("drain timeout %v: want at most %v", r.DrainTimeout, maxDrainTimeout)
	case r.Boot != "" && r.Boot != BootHold && r.Boot != BootRefuse:
		return fmt.Errorf("boot %q: want %s or %s", r.Boot, BootHold, BootRefuse)
	}
	return nil
}

// tunnelGrace is half of the drain timeout unless the route says otherwise.
func (r Route) tunnelGrace() time.Duration { return cmp.Or(r.TunnelGrace, r.DrainTimeout/2) }

// lasting is what outlives a start of the router: never a canary's share.
func (r Route) lasting() Route {
	r.Canary, r.Weight, r.Lease, r.Salt, r.Shown = "", 0, 0, "", ""
	r.Hold, r.HoldLimit = 0, 0
	return r
}

// sameLasting reports whether a change from r to other needs no new state file.
func (r Route) sameLasting(other Route) bool {
	return reflect.DeepEqual(r.lasting(), other.lasting())
}

func splitListen(listen string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("port %q: want 1 to 65535", text)
	}
	if host != "" {
		if _, err := netip.ParseAddr(host); err != nil {
			return "", 0, fmt.Errorf("host %q: want an IP address, or nothing for all", host)
		}
	}
	return host, port, nil
}

// overlap reports whether two public addresses cannot be served side by side.
func overlap(a, b string) bool {
	hostA, portA, errA := splitListen(a)
	hostB, portB, errB := splitListen(b)
	if errA != nil || errB != nil || portA != portB {
		return false
	}
	return hostA == hostB || wildcard(hostA) || wildcard(hostB)
}

func wildcard(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}
