package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/release"
)

// inspect gives what differs, as words.
func (m *machine) inspect() (rpc.Inspected, string) {
	m.t.Helper()
	m.settled()
	got, err := m.c.Inspect(context.Background(), rpc.Inspect{Service: app, Previous: true})
	if err != nil {
		m.t.Fatal(err)
	}
	var words []string
	for _, d := range got.Drift {
		words = append(words, strings.TrimSpace(string(d.Slot)+" "+d.What))
	}
	return got, strings.Join(words, ", ")
}

// configured deploys a version with a file, a variable and a secret.
func (m *machine) configured(id, version string) {
	m.t.Helper()
	r := m.acquire(id, "deploy")
	p := r.startParams(r.push(version))
	p.Revision.Files = []release.RenderedFile{{To: "app.json", Data: []byte(`{"port": {{.Port}}}`)}}
	p.Revision.Mode, p.Revision.Env = "native", map[string]string{"COLOR": "crimson"}
	p.Revision.Fingerprints, p.Secrets = map[string]string{"TOKEN": "00"}, map[string]string{"TOKEN": "x"}
	if _, err := m.c.Start(context.Background(), p); err != nil {
		m.t.Fatal(err)
	}
	r.commit(15 * time.Minute)
	r.release(runPromoted)
}

// TestDrift changes everything that people change by hand, one by one.
func TestDrift(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	m.configured("r2", "2.0.0") // in green
	edit := func(f func(*scm.Spec)) func() {
		return func() { m.scm.edit(func() { f(&m.scm.units[app+"-green"].spec) }) }
	}
	file := func(path ...string) func() {
		return func() {
			if err := os.WriteFile(filepath.Join(path...), []byte("by hand"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	slot := filepath.Join(m.layout.Service(app), "slots", "green")
	rel, _, _ := bundle("2.0.0")
	for i, c := range []struct {
		want   string
		change func()
	}{
		{"", func() {}},
		{"green state", func() { m.scm.crash(app+"-green", 0) }},
		{"blue state", func() { m.scm.crash(app+"-blue", 0) }}, // it is warm
		{"green service orders-green", func() { m.scm.edit(func() { delete(m.scm.units, app+"-green") }) }},
		{"green image path", edit(func(s *scm.Spec) { s.Args = append(s.Args, "--debug") })},
		{"green start type", edit(func(s *scm.Spec) { s.Start = scm.Disabled })},
		{"green account, green description", edit(func(s *scm.Spec) { s.Account, s.Description = "LocalSystem", "mine" })},
		{"green recovery, green environment", edit(func(s *scm.Spec) { s.Recovery, s.Env = nil, []string{"COLOR=blue"} })},
		{"", edit(func(s *scm.Spec) { s.Recovery, s.KeepsNoRecovery = nil, true })}, // as Wine's manager
		{"green release", file(m.guard.store.Path(app, rel), "orders.exe")},
		{"green file app.json", file(slot, configName, "app.json")},
		{"green file role", file(slot, roleName)},
		{"green secrets", file(slot, secretsName)},
		{"green revision", file(m.layout.Service(app), "revisions", mustRevision(m), revisionName)},
		{"route", func() { _ = m.proxy.Delete(context.Background(), app, 0) }},
	} {
		if m.status().Stable == release.Blue { // everything here happens to green
			m.deploy("even"+string(rune('a'+i)), "1.0.0")
			m.configured("odd"+string(rune('a'+i)), "2.0.0")
		}
		if _, got := m.inspect(); got != "" {
			t.Fatalf("before %q: %s differ", c.want, got)
		}
		c.change()
		got, words := m.inspect()
		if words != c.want {
			t.Errorf("got %q, want %q: %+v", words, c.want, got.Drift)
		}
		for _, d := range got.Drift {
			if text := d.Want + d.Have; strings.Contains(text, "crimson") || strings.Contains(text, "by hand") || d.Have == "" && d.Want == "" {
				t.Errorf("tells too much or too little: %+v", d)
			}
		}
		// Another release over it, and back: all is as it should be.
		m.deploy("back"+string(rune('a'+i)), "1.0.0")
		m.configured("again"+string(rune('a'+i)), "2.0.0")
	}
}

// mustRevision is the folder of the stable revision.
func mustRevision(m *machine) string {
	st := m.status()
	return st.Slots[st.Stable].Revision.Short()
}

func TestInspectWhileARunIsUnderWay(t *testing.T) {
	t.Parallel()
	m, r := underway(t)
	if got, words := m.inspect(); words != "" || got.Busy || got.Previous != nil {
		t.Errorf("a canary is no drift: %+v", got)
	}
	r.weight(500)
	m.scm.crash(app+"-green", 1)
	if _, words := m.inspect(); words != "" {
		t.Errorf("the canary's end is the run's business: %s", words)
	}
	m.scm.edit(func() { m.scm.units[app+"-blue"].spec.Start = scm.Manual })
	if _, words := m.inspect(); words != "blue start type" {
		t.Error(words)
	}
}

func TestRehearsal(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	m.deploy("r2", "1.1.0")
	ctx := context.Background()
	r := m.acquire("r3", "check")
	got, err := m.c.Rehearse(ctx, rpc.Rehearse{Fenced: r.f})
	if err != nil || !got.Warm || got.Slot != release.Blue {
		t.Errorf("warm: %+v, %v", got, err)
	}
	m.serves(release.Green, "1.1.0", "orders-blue", "orders-green") // goes on

	m.clock.advance(time.Hour) // cold, and the lease is over
	m.eventually("blue rests", func() bool { return len(m.scm.running()) == 1 })
	r = m.acquire("r4", "check")
	if got, err = m.c.Rehearse(ctx, rpc.Rehearse{Fenced: r.f}); err != nil || got.Warm {
		t.Errorf("cold: %+v, %v", got, err)
	}
	m.serves(release.Green, "1.1.0", "orders-green") // stopped again
	if found, words := m.inspect(); words != "" || found.Previous == nil || found.Previous.Release.Version != "1.0.0" || found.Previous.Problem != "" {
		t.Errorf("%s, %+v", words, found.Previous)
	}
	r.release("")
	m.scm.edit(func() { m.scm.failing["orders-blue"] = errors.New("logon failure") })
	r = m.acquire("r5", "check")
	if _, err = m.c.Rehearse(ctx, rpc.Rehearse{Fenced: r.f}); err == nil || !strings.Contains(err.Error(), "logon failure") {
		t.Errorf("what cannot log on: %v", err)
	}
	m.serves(release.Green, "1.1.0", "orders-green")
}
