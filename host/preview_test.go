package host

import (
	"context"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

const previewAt = "127.0.0.1:8109"

// previewed starts a version whose configuration has a preview.
func (m *machine) previewed(id, version string) *run {
	m.t.Helper()
	r := m.acquire(id, "deploy")
	p := r.startParams(r.push(version))
	p.Traffic.Preview = previewAt
	if _, err := m.c.Start(context.Background(), p); err != nil {
		m.t.Fatal(err)
	}
	return r
}

func (m *machine) shows(address string, slot release.Slot) {
	m.t.Helper()
	if v := m.routed(); v.Preview != address || v.Shown != slot {
		m.t.Errorf("the preview %q shows %q, want %q and %q", v.Preview, v.Shown, address, slot)
	}
}

// The new slot is shown from its first shift on, while it is parked too, and
// no longer than until it is committed or goes back. The address is that of
// the run, as soon as there is one.
func TestPreviewShowsTheRunsSlot(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	m.shows("", "")
	r := m.previewed("r2", "1.1.0")
	m.shows(previewAt, "") // its smoke checks are still to come
	if got := r.weight(0); got.Weights[release.Blue] != release.Full {
		t.Errorf("traffic: %+v", got)
	}
	m.shows(previewAt, release.Green)
	if err := m.c.Park(ctx, rpc.Park{Fenced: r.f, Why: "waits", For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	m.shows(previewAt, release.Green)
	m.serves(release.Blue, "1.0.0", blue, green)

	r = m.previewed("r3", "1.1.0")
	r.weight(release.Full)
	m.shows(previewAt, release.Green)
	if _, err := m.c.Undo(ctx, rpc.Undo{Fenced: r.f, State: runAborted}); err != nil {
		t.Fatal(err)
	}
	r.release(runAborted)
	m.shows("", "")

	r = m.previewed("r4", "1.2.0")
	r.weight(release.Full)
	if err := m.c.Prepare(ctx, r.f); err != nil {
		t.Fatal(err)
	}
	r.commit(0)
	r.release(runPromoted)
	m.shows(previewAt, "")
	m.deploy("r5", "1.3.0")
	m.shows("", "")
}

// A controller that is gone takes the preview along with its run.
func TestPreviewEndsWithTheLease(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	r := m.previewed("r2", "1.1.0")
	r.weight(0)
	m.shows(previewAt, release.Green)
	m.clock.advance(time.Minute)
	m.eventually("the run is lost", func() bool { return m.status().Run.State == runLost })
	m.shows("", "")
	m.serves(release.Blue, "1.0.0", blue)
}

func TestPortsThatTheFirewallOpens(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]rpc.TrafficConfig{
		"":        {Listen: ":80", Watch: rpc.Watch{Preview: ":9090"}},
		"80":      {Listen: ":80", Firewall: true, Watch: rpc.Watch{Preview: ":9090"}},
		"9090":    {Listen: ":80", PreviewFirewall: true, Watch: rpc.Watch{Preview: "10.0.0.1:9090"}},
		"80,9090": {Listen: ":80", Firewall: true, PreviewFirewall: true, Watch: rpc.Watch{Preview: ":9090"}},
	} {
		if got := openPorts(c); got != want {
			t.Errorf("%+v opens %q, want %q", c, got, want)
		}
	}
}
