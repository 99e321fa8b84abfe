package router

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/go-shipper/shipper/release"
)

// How clients are remembered: each for ten seconds from its first request,
// 65,536 at a time. With more of them the oldest is forgotten first, and a
// client that comes back counts anew: the count tends towards that of requests.
const (
	clientWindow = 10 * time.Second
	clientSets   = 1 << 14
	clientWays   = 4
	clientTick   = time.Second / 8
	clientTicks  = 1<<22 - 1 // six days, then they begin anew
	markBits     = 10        // five for each slot
	markMask     = 1<<markBits - 1
)

// marks are what is known of a client: that a slot answered it, and how.
type marks uint64

const (
	seen         marks = 1 << iota
	seenFailed         // by the slot's fault
	drawn              // seen among the units of comparison, and the two that follow too
	drawnFailed        //
	drawnRefused       // 4xx, or what means the same in gRPC
	marksOfSlot  = 5
	anyMark      = 1<<marksOfSlot - 1
)

// clients is a table of fixed size without a lock. It keeps no address and no
// cookie, but a salted hash.
type clients struct {
	seed  maphash.Seed
	began time.Time
	sets  [clientSets][clientWays]atomic.Uint64 // 32 bits of hash, 22 of time, 10 of marks
}

func newClients(now time.Time) *clients { return &clients{seed: maphash.MakeSeed(), began: now} }

// of is the key of a client that has a cookie's or a header's value.
func (c *clients) of(value string) uint64 { return maphash.String(c.seed, value) }

// at is the key of an address. IPv6 clients change the lower half as they like.
func (c *clients) at(addr netip.Addr) uint64 {
	full := addr.As16()
	if addr.Is4() || addr.Is4In6() {
		return maphash.Bytes(c.seed, full[:])
	}
	return maphash.Bytes(c.seed, full[:8])
}

// note marks a client and returns what was not known of it yet.
func (c *clients) note(key uint64, slot release.Slot, m marks, now time.Time) marks {
	set := &c.sets[key%clientSets]
	tick := uint64(now.Sub(c.began)/clientTick) & clientTicks
	shift := 0
	if slot == release.Green {
		shift = marksOfSlot
	}
	for range 2 * clientWays {
		entry, old := find(set, key, tick)
		known := marks(0)
		next := key&^(1<<32-1) | tick<<markBits | uint64(m)<<shift
		if alive(old, tick) && old>>32 == key>>32 {
			known = marks(old) >> shift & anyMark
			next = old | uint64(m)<<shift
		}
		if next == old || entry.CompareAndSwap(old, next) {
			return m &^ known
		}
	}
	return m // under such a rush it counts once more
}

// find gives the client's entry, else a free one, else the oldest.
func find(set *[clientWays]atomic.Uint64, key, tick uint64) (*atomic.Uint64, uint64) {
	var oldest *atomic.Uint64
	var value, age uint64
	for i := range set {
		v := set[i].Load()
		a := uint64(clientTicks) // free
		if alive(v, tick) {
			if v>>32 == key>>32 {
				return &set[i], v
			}
			a = ticksSince(v, tick)
		}
		if oldest == nil || a > age {
			oldest, value, age = &set[i], v, a
		}
	}
	return oldest, value
}

func alive(entry, tick uint64) bool {
	return entry&markMask != 0 && ticksSince(entry, tick) < uint64(clientWindow/clientTick)
}

// ticksSince is the entry's age. One that looked at the clock a little later
// than who asks is new, not six days old.
func ticksSince(entry, tick uint64) uint64 {
	age := (tick - entry>>markBits) & clientTicks
	if age > clientTicks-uint64(clientWindow/clientTick) {
		return 0
	}
	return age
}
