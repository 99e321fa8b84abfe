package router

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// A client counts once in ten seconds at a slot, and once with an error,
// however often it asks.
func TestAClientCountsOnceInTenSeconds(t *testing.T) {
	t.Parallel()
	began := time.Now()
	c := newClients(began)
	key := c.of("somebody")
	for _, step := range []struct {
		after time.Duration
		slot  release.Slot
		marks marks
		want  marks
	}{
		{0, release.Blue, seen, seen},
		{0, release.Blue, seen | seenFailed, seenFailed},
		{time.Second, release.Blue, seen | seenFailed, 0},
		{time.Second, release.Green, seen, seen},
		{time.Second, release.Green, seen | drawn | drawnFailed, drawn | drawnFailed},
		{9 * time.Second, release.Blue, seen | seenFailed, 0},
		{10 * time.Second, release.Blue, seen, seen},
		{19 * time.Second, release.Blue, seen | seenFailed, seenFailed},
		{20 * time.Second, release.Green, seen | seenFailed, seen | seenFailed},
		{8 * 24 * time.Hour, release.Green, seen, seen},
		// Who read the clock a moment earlier is not six days late.
		{8*24*time.Hour - time.Second, release.Green, seen, 0},
	} {
		if got := c.note(key, step.slot, step.marks, began.Add(step.after)); got != step.want {
			t.Errorf("after %v at %s: %b is new of %b, want %b", step.after, step.slot, got, step.marks, step.want)
		}
	}
}

// The memory is bounded: a flood of clients makes the table forget, never
// count less, and it keeps no client for another.
func TestAFloodOfClients(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := newClients(now)
	count := func(n int) (fresh int) {
		for i := range n {
			if c.note(c.of(fmt.Sprint(i)), release.Blue, seen, now)&seen != 0 {
				fresh++
			}
		}
		return fresh
	}
	// Two of 20,000 share 32 bits of hash and a set with a chance of 10⁻⁵.
	if fresh := count(20_000); fresh < 19_999 {
		t.Errorf("%d of 20,000 clients counted", fresh)
	}
	if fresh := count(20_000); fresh > 500 {
		t.Errorf("%d of 20,000 clients were forgotten at a third of the table", fresh)
	}
	flood := 3 * clientSets * clientWays / 2
	if fresh := count(flood); fresh < flood-20_000-1 {
		t.Errorf("a flood of %d clients counts as %d", flood, fresh)
	}
}

// Many at once count one client about once: only who is the first twice over
// in the same instant may count again.
func TestClientsCountTogether(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := newClients(now)
	var all sync.WaitGroup
	var mu sync.Mutex
	sum := 0
	for range 8 {
		all.Go(func() {
			fresh := 0
			for i := range 2000 {
				if c.note(c.of(fmt.Sprint(i)), release.Green, seen, now)&seen != 0 {
					fresh++
				}
			}
			mu.Lock()
			defer mu.Unlock()
			sum += fresh
		})
	}
	all.Wait()
	if sum < 2000 || sum > 2020 {
		t.Errorf("2000 clients counted as %d", sum)
	}
}

func TestAddressesAreHouseholds(t *testing.T) {
	t.Parallel()
	c := newClients(time.Now())
	at := func(s string) uint64 { return c.at(netip.MustParseAddr(s)) }
	if at("2001:db8::1") != at("2001:db8::2") || at("2001:db8:0:1::1") == at("2001:db8::1") {
		t.Error("IPv6 clients are not told apart by their /64")
	}
	if at("10.0.0.1") == at("10.0.0.2") || at("10.0.0.1") != at("::ffff:10.0.0.1") {
		t.Error("IPv4 clients are not told apart by their address")
	}
}

// judged lets clients ask through a table's choice, with slots that fail by
// chance, and returns what was counted.
type judged struct {
	*service
	now    time.Time
	random *rand.Rand
}

func newJudged(route Route) *judged {
	j := &judged{now: time.Now(), random: rand.New(rand.NewPCG(3, 5))}
	e := &env{Options: Options{Now: func() time.Time { return j.now }}}
	j.service = newService("orders", "1", e)
	route.Lease = 24 * time.Hour
	in := func(slot release.Slot) *instance {
		return &instance{slot: slot, counters: j.counters[slot], born: j.now}
	}
	j.table.Store(&table{
		route: route, policy: newPolicy(route), deadline: j.now.Add(route.Lease),
		stable: in(release.Blue), canary: in(release.Green),
	})
	return j
}

func (j *judged) ask(c client, fails float64) {
	t := j.table.Load()
	x := &exchange{service: j.service, choice: t.pick(j.now, c, j.random.IntN)}
	x.client = j.keyOf(t, c, x.key)
	status := 200
	if j.random.Float64() < fails {
		status = 500
	}
	x.end(ending{status: status, grpc: noGRPC})
}

// One client that sticks and fails again and again is one error of one unit,
// not twenty; and both arms are counted alike.
func TestAStickyClientThatRetriesIsOneUnit(t *testing.T) {
	t.Parallel()
	j := newJudged(Route{Public: rpc.Public{Sticky: rpc.Sticky{Cookie: "id"}}, Weight: 5000})
	for i := range 100 {
		for range 20 {
			j.ask(by(fmt.Sprint(i)), 1)
		}
	}
	blue, green := j.counters[release.Blue].snapshot(), j.counters[release.Green].snapshot()
	if blue.Requests+green.Requests != 2000 || blue.Status5xx+green.Status5xx != 2000 {
		t.Errorf("requests %d + %d", blue.Requests, green.Requests)
	}
	if n := blue.Units.All + green.Units.All; n != 100 || blue.Units.Errors != blue.Units.All || green.Units.Errors != green.Units.All {
		t.Errorf("units %+v and %+v, want 100 with an error each", blue.Units, green.Units)
	}
	if want := int64(100 * 5000); green.Units.Share != want || blue.Units.Share != 0 {
		t.Errorf("share %d, want %d", green.Units.Share, want)
	}
	if n := blue.Clients + green.Clients; n != 100 || blue.ClientErrors+green.ClientErrors != 100 {
		t.Errorf("%d clients", n)
	}
}

// Where each request is drawn on its own, requests are the units: the errors
// of a client that retries fall in both arms by the weight alone. Counting
// clients instead would put one event of each into both arms, which at 5 %
// looks as if the canary were twenty times worse.
func TestUnitsAreWhatWasDrawn(t *testing.T) {
	t.Parallel()
	j := newJudged(Route{Weight: 500})
	for range 20_000 {
		j.ask(by("the only client"), 0.5)
		j.now = j.now.Add(50 * time.Millisecond)
	}
	blue, green := j.counters[release.Blue].snapshot(), j.counters[release.Green].snapshot()
	if blue.Units.All != blue.Requests || green.Units.All != green.Requests || green.Units.Errors != green.Status5xx {
		t.Errorf("units %+v of %d requests, %+v of %d", blue.Units, blue.Requests, green.Units, green.Requests)
	}
	share := float64(green.Units.Errors) / float64(green.Units.Errors+blue.Units.Errors)
	if math.Abs(share-0.05) > 0.01 {
		t.Errorf("the canary has %.3f of the errors, want its weight", share)
	}
	if green.Clients < 95 || green.Clients > 100 || blue.Clients < 95 || blue.Clients > 100 {
		t.Errorf("clients %d and %d in 1000 s: want about one in ten seconds", blue.Clients, green.Clients)
	}
}

// What nobody drew is no unit: who chose a slot is not like who did not.
func TestChosenRequestsAreNoUnits(t *testing.T) {
	t.Parallel()
	j := newJudged(Route{Public: rpc.Public{Match: rpc.Match{Header: "X-User", Values: []string{"tester"}}}, Weight: 5000})
	for range 50 {
		j.ask(by("tester"), 0)
	}
	if green := j.counters[release.Green].snapshot(); green.Requests != 50 || green.Units.All != 0 || green.Clients == 0 {
		t.Errorf("%+v", green)
	}
	j.ask(by("somebody else"), 0)
	if all := j.counters[release.Green].units.Load() + j.counters[release.Blue].units.Load(); all != 1 {
		t.Errorf("%d units, want 1", all)
	}
}

// The configured key comes first, the address last.
func TestClientKey(t *testing.T) {
	t.Parallel()
	j := newJudged(Route{Watch: rpc.Watch{ClientKey: rpc.ClientKey{Cookie: "id", Header: "X-User"}}})
	key := func(c client) uint64 { return j.keyOf(j.table.Load(), c, "") }
	a, b := by("a"), by("b")
	b.addr = a.addr
	if key(a) == key(b) {
		t.Error("two cookies on one address are one client")
	}
	a.cookie, b.cookie, a.header, b.header = nil, nil, nil, nil
	if key(a) != key(b) {
		t.Error("one address is two clients")
	}
}
