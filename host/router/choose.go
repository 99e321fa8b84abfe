package router

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// Words of Match, beside its Values.
const (
	wishCanary = "always"
	wishStable = "never"
)

// client is who asks, as far as the choice of a slot needs it.
type client struct {
	addr    netip.Addr    // behind proxies that are trusted
	header  http.Header   // nil: a connection, of which nothing is read
	cookie  *http.Request // the same request, which parses them
	preview bool          // it came to the preview
}

// policy is a route's part in the choice, parsed once.
type policy struct {
	sticky  rpc.Sticky
	match   rpc.Match
	salt    string
	allow   networks
	trusted networks
}

// newPolicy of a route that is validated.
func newPolicy(r Route) policy {
	p := policy{sticky: r.Sticky, match: r.Match, salt: r.Salt}
	p.allow, _ = parseNetworks(r.Match.Allow)
	p.trusted, _ = parseNetworks(r.TrustedProxies)
	if len(p.match.Values) == 0 {
		p.match.Values = []string{wishCanary}
	}
	return p
}

// pick chooses for one request. Nothing but stable is chosen without a lease.
func (t *table) pick(now time.Time, c client, draw func(n int) int) choice {
	if c.preview {
		return choice{in: t.shown, shown: true}
	}
	if t.canary == nil || t.route.Lease == 0 || t.expired(now) {
		return choice{in: t.stable}
	}
	picked := t.want(now, c, draw)
	if t.stable != nil && !t.canary.usable(now) {
		return t.divert(picked)
	}
	return picked
}

// want is the choice as if the canary were well.
func (t *table) want(now time.Time, c client, draw func(n int) int) choice {
	if canary, chose := t.policy.wish(c); chose {
		if canary {
			return choice{in: t.canary}
		}
		return choice{in: t.stable}
	}
	picked := choice{in: t.stable, canary: t.canary, weight: t.canary.ramp(t.route.Weight, t.route.SlowStart, now)}
	var drawn bool
	if drawn, picked.key = t.policy.draw(c, picked.weight, draw); drawn {
		picked.in = t.canary
	}
	switch {
	case picked.weight <= 0: // nothing is compared
	case picked.key != "":
		picked.lot = stuck
	default:
		picked.lot = single
	}
	return picked
}

// divert gives stable what was meant for a canary that is out of use. While
// that lasts nothing is compared, as no draw decides.
func (t *table) divert(picked choice) choice {
	c := choice{in: t.stable}
	if picked.in == t.canary {
		c.passed = t.canary
	}
	return c
}

// wish is what the client asks for, if it may.
func (p *policy) wish(c client) (canary, chose bool) {
	if c.header == nil || p.match.Header == "" && p.match.Cookie == "" {
		return false, false
	}
	if len(p.allow) > 0 && !p.allow.contain(c.addr) {
		return false, false
	}
	for _, value := range []string{c.headerNamed(p.match.Header), c.cookieNamed(p.match.Cookie)} {
		switch {
		case value == "":
		case slices.Contains(p.match.Values, value):
			return true, true
		case value == wishStable:
			return false, true
		}
	}
	return false, false
}

// draw: the same client, salt and weight give the same answer, and a higher
// weight only adds clients; without a key each request is drawn on its own.
func (p *policy) draw(c client, w release.Weight, draw func(n int) int) (canary bool, key string) {
	if w <= 0 {
		return false, ""
	}
	n, key := p.place(c)
	if key == "" {
		n = draw(int(release.Full))
	}
	return n < int(w), key
}

// place is where a sticky client stands between 0 and release.Full.
func (p *policy) place(c client) (place int, key string) {
	switch {
	case p.sticky.Cookie != "":
		key = c.cookieNamed(p.sticky.Cookie)
	case p.sticky.Header != "":
		key = c.headerNamed(p.sticky.Header)
	case p.sticky.Address && c.addr.IsValid():
		key = household(c.addr)
	}
	if key == "" {
		return 0, ""
	}
	sum := sha256.Sum256([]byte(p.salt + "\x00" + key))
	return int(binary.BigEndian.Uint64(sum[:]) % uint64(release.Full)), key
}

func (c client) headerNamed(header string) string {
	if header == "" || c.header == nil {
		return ""
	}
	return strings.TrimSpace(c.header.Get(header))
}

func (c client) cookieNamed(cookie string) string {
	if cookie == "" || c.cookie == nil {
		return ""
	}
	found, err := c.cookie.Cookie(cookie)
	if err != nil {
		return ""
	}
	return found.Value
}

// household is an address as a key. IPv6 clients change the lower half as
// they like.
func household(addr netip.Addr) string {
	if addr = addr.Unmap(); addr.Is4() {
		return addr.String()
	}
	p, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return addr.String()
	}
	return p.String()
}

// networks are addresses and networks of which membership matters.
type networks []netip.Prefix

func parseNetworks(texts []string) (networks, error) {
	var all networks
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			addr, errAddr := netip.ParseAddr(text)
			if errAddr != nil || addr.Zone() != "" {
				return nil, err
			}
			p = netip.PrefixFrom(addr, addr.BitLen())
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

func (n networks) contain(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(n, func(p netip.Prefix) bool { return p.Contains(addr) })
}
