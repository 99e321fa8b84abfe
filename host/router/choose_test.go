package router

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"testing"
	"testing/quick"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// chooser is a table with a canary, and how it chooses.
func chooser(route Route) *table {
	route.Lease = time.Minute
	return &table{
		route: route, policy: newPolicy(route), deadline: time.Now().Add(time.Hour),
		stable: &instance{slot: release.Blue}, canary: &instance{slot: release.Green},
	}
}

func (t *table) gives(c client) release.Slot { return t.pick(time.Now(), c, seededOnce).in.slot }

// seededOnce stands for a draw that must not happen.
func seededOnce(int) int { panic("a sticky client was drawn") }

func by(key string) client {
	r := &http.Request{Header: http.Header{"Cookie": {"other=1; id=" + key}, "X-User": {key}}}
	n := rand.New(rand.NewPCG(uint64(len(key)), 1))
	return client{netip.AddrFrom4([4]byte{10, byte(n.Uint32()), byte(n.Uint32()), 1}), r.Header, r, false}
}

// Raising the weight only adds clients to the canary, for every key, salt and
// pair of weights; and at 0 nobody is left there.
func TestRaisingTheWeightOnlyAddsClients(t *testing.T) {
	t.Parallel()
	for _, sticky := range []rpc.Sticky{{Cookie: "id"}, {Header: "X-User"}, {Address: true}} {
		grows := func(key uint64, salt string, a, b uint16) bool {
			c := by(fmt.Sprintf("%x", key))
			lo, hi := release.Weight(a%10001), release.Weight(b%10001)
			lo, hi = min(lo, hi), max(lo, hi)
			at := func(w release.Weight) release.Slot {
				return chooser(Route{Public: rpc.Public{Sticky: sticky}, Salt: salt, Weight: w}).gives(c)
			}
			before, after, again := at(lo), at(hi), at(lo)
			stays := before == release.Blue || after == release.Green
			return stays && before == again && at(0) == release.Blue && at(release.Full) == release.Green
		}
		if err := quick.Check(grows, nil); err != nil {
			t.Errorf("%+v: %v", sticky, err)
		}
	}
}

// The share of the clients is the weight, and another rollout's salt draws
// others: nobody is the guinea pig each time.
func TestStickyClientsAreDrawnFairly(t *testing.T) {
	t.Parallel()
	const n, weight = 100_000, 500
	both, first := 0, 0
	one := chooser(Route{Public: rpc.Public{Sticky: rpc.Sticky{Cookie: "id"}}, Salt: "run-1", Weight: weight})
	two := chooser(Route{Public: rpc.Public{Sticky: rpc.Sticky{Cookie: "id"}}, Salt: "run-2", Weight: weight})
	for i := range n {
		c := by(fmt.Sprint("client-", i))
		if one.gives(c) == release.Green {
			first++
			if two.gives(c) == release.Green {
				both++
			}
		}
	}
	// 5000 with a standard deviation of 69; both: 250 of 15.4.
	if first < 4650 || first > 5350 || both < 170 || both > 330 {
		t.Errorf("%d of %d at the canary, %d in both rollouts", first, n, both)
	}
}

func TestWithoutAKeyEachRequestIsDrawn(t *testing.T) {
	t.Parallel()
	table, draws := chooser(Route{Public: rpc.Public{Sticky: rpc.Sticky{Cookie: "session"}}, Weight: 5000}), 0
	for range 100 {
		table.pick(time.Now(), by("x"), func(n int) int { draws++; return 0 })
	}
	if draws != 100 {
		t.Errorf("%d draws", draws)
	}
}

func TestOneHouseholdIsOneClient(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"10.0.0.1", "::ffff:10.0.0.1", true},
		{"10.0.0.1", "10.0.0.2", false},
		{"2001:db8::1", "2001:db8::ffff:2", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
	} {
		if got := household(netip.MustParseAddr(c.a)) == household(netip.MustParseAddr(c.b)); got != c.same {
			t.Errorf("%s and %s are the same: %v", c.a, c.b, got)
		}
	}
}

func TestAClientMayChoose(t *testing.T) {
	t.Parallel()
	asks := func(header, cookie, from string) client {
		r := &http.Request{Header: http.Header{}}
		if header != "" {
			r.Header.Set("X-Canary", header)
		}
		if cookie != "" {
			r.Header.Set("Cookie", "canary="+cookie)
		}
		return client{netip.MustParseAddr(from), r.Header, r, false}
	}
	both := rpc.Match{Header: "x-canary", Cookie: "canary"}
	listed := rpc.Match{Header: "X-Canary", Values: []string{"tester-7"}, Allow: []string{"10.1.0.0/16"}}
	for _, c := range []struct {
		match rpc.Match
		who   client
		want  release.Slot // at weight 0, and the other at full
		chose bool
	}{
		{both, asks("always", "", "10.0.0.1"), release.Green, true},
		{both, asks("never", "", "10.0.0.1"), release.Blue, true},
		{both, asks("", "always", "10.0.0.1"), release.Green, true},
		{both, asks("", "never", "10.0.0.1"), release.Blue, true},
		{both, asks("never", "always", "10.0.0.1"), release.Blue, true}, // the header is said last
		{both, asks("perhaps", "", "10.0.0.1"), "", false},
		{rpc.Match{}, asks("always", "always", "10.0.0.1"), "", false},
		{rpc.Match{Cookie: "canary"}, asks("always", "", "10.0.0.1"), "", false},
		{listed, asks("tester-7", "", "10.1.2.3"), release.Green, true},
		{listed, asks("always", "", "10.1.2.3"), "", false},
		{listed, asks("tester-7", "", "10.2.2.3"), "", false},
		{listed, asks("never", "", "10.1.2.3"), release.Blue, true},
	} {
		for _, w := range []release.Weight{0, release.Full} {
			want := c.want
			if !c.chose {
				want = map[release.Weight]release.Slot{0: release.Blue, release.Full: release.Green}[w]
			}
			got := chooser(Route{Public: rpc.Public{Match: c.match}, Weight: w}).pick(time.Now(), c.who, func(n int) int { return n - 1 }).in.slot
			if got != want {
				t.Errorf("%+v, header %q at weight %v: %s, want %s", c.match, c.who.header, w, got, want)
			}
		}
	}
}

func TestNobodyChoosesTheCanaryAfterTheLease(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := start(t, Options{Now: c.Now})
	route := r.route(backend(t, "blue"), backend(t, "green"), 0)
	route.Match, route.Lease = rpc.Match{Header: "X-Canary"}, time.Minute
	r.put(route)
	for _, want := range []string{"green", "blue"} {
		req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, r.url("/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Canary", "always")
		if _, text := r.do(req); text != want {
			t.Errorf("%q answers, want %q", text, want)
		}
		c.add(time.Minute)
	}
	if v := r.view(); !v.Expired {
		t.Errorf("view after the lease: %+v", v)
	}
}
