package host

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

func (m *machine) routed() router.View {
	m.t.Helper()
	v, err := m.proxy.Get(context.Background(), app)
	if err != nil {
		m.t.Fatal(err)
	}
	return v
}

// What the configuration says about the public address reaches the router,
// clients can choose the canary before it has a weight, and each run draws
// with a salt of its own.
func TestThePublicPartReachesTheRouter(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("run1", "1.0.0")
	r := m.acquire("run2", "deploy")
	p := r.startParams(r.push("1.1.0"))
	p.Traffic.Public = rpc.Public{Hosts: []string{"shop.example"}, Match: rpc.Match{Header: "X-Canary"}}
	if _, err := m.c.Start(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	if v := m.routed(); len(v.Hosts) != 0 || v.Canary != "" {
		t.Errorf("before the commit the route is %+v", v.Route)
	}
	r.weight(500)
	if v := m.routed(); v.Salt != "run2" || v.Weight != 500 {
		t.Errorf("at 5%%: salt %q, weight %v", v.Salt, v.Weight)
	}
	r.commit(0)
	r.release("Promoted")
	if v := m.routed(); !reflect.DeepEqual(v.Public, p.Traffic.Public) || v.Canary != "" {
		t.Errorf("after the commit the route is %+v", v.Route)
	}
	next := m.acquire("run3", "deploy")
	p = next.startParams(next.push("1.2.0"))
	p.Traffic.Public = m.routed().Public
	if _, err := m.c.Start(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	if v := m.routed(); v.Canary != "" {
		t.Errorf("before any weight the canary is %q", v.Canary)
	}
	next.weight(0)
	if v := m.routed(); v.Canary == "" || v.Canary == v.Stable || v.Weight != 0 || v.Lease <= 0 {
		t.Errorf("at weight 0 nobody can choose: %+v", v.Route)
	}
}

func TestACollisionIsSeenBeforeTheCommit(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("run1", "1.0.0")
	other := router.Route{
		Service: "other", Listen: "127.0.0.1:8200", Public: rpc.Public{Path: "/api"}, Stable: release.Blue,
		Slots: map[release.Slot]string{release.Blue: "127.0.0.1:9001"},
	}
	if _, err := m.proxy.Put(context.Background(), other, 0); err != nil {
		t.Fatal(err)
	}
	r := m.acquire("run2", "deploy")
	for version, path := range map[string]string{"1.1.0": "/api", "1.2.0": "/shop"} {
		free := path != other.Path
		p := r.startParams(r.push(version))
		p.Traffic.Listen, p.Traffic.Path = other.Listen, path
		if _, err := m.c.Start(context.Background(), p); err != nil {
			t.Fatal(err)
		}
		err := m.c.Prepare(context.Background(), r.f)
		if free && err != nil || !free && (rpc.CodeOf(err) != rpc.CodeConflict || !strings.Contains(err.Error(), "other")) {
			t.Errorf("beside /api, %s: %v", path, err)
		}
	}
}
