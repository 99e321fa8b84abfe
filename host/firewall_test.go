//go:build !windows

package host

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-shipper/shipper/host/rpc"
)

// firewallOf stands for netsh: it keeps what it was told, and one rule.
type firewallOf struct {
	mu    sync.Mutex
	told  []string
	there bool
}

func (f *firewallOf) run(_ context.Context, args []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, strings.Join(args, " "))
	verb := args[2]
	if verb != "add" && !f.there {
		return errors.New("exit status 1")
	}
	f.there = verb != "delete"
	return nil
}

// since returns what was told since the last time.
func (f *firewallOf) since() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	told := f.told
	f.told = nil
	return told
}

func (m *machine) withFirewall(id, version, listen string, on bool) {
	m.t.Helper()
	r := m.acquire(id, "deploy")
	p := r.startParams(r.push(version))
	p.Traffic.Listen, p.Traffic.Firewall = listen, on
	if _, err := m.c.Start(context.Background(), p); err != nil {
		m.t.Fatal(err)
	}
	r.commit(0)
	r.release("Promoted")
}

func TestFirewallRule(t *testing.T) {
	t.Parallel()
	const rule = "rule name=shipper-orders"
	const opens = " profile=any protocol=TCP localport=8100 action=allow enable=yes"
	const set, add, del = "advfirewall firewall set " + rule + " dir=in new" + opens, "advfirewall firewall add " + rule + " dir=in" + opens, "advfirewall firewall delete " + rule
	m := newMachine(t)
	f := &firewallOf{}
	m.guard.opts.Netsh = f.run
	want := func(what string, told ...string) {
		t.Helper()
		if got := f.since(); !slices.Equal(got, told) {
			t.Errorf("%s: netsh was told %q, want %q", what, got, told)
		}
	}
	m.withFirewall("run1", "1.0.0", "127.0.0.1:8100", false)
	want("not asked for")
	m.withFirewall("run2", "1.1.0", "127.0.0.1:8100", true)
	want("first", set, add)
	m.withFirewall("run3", "1.2.0", "127.0.0.1:8100", true)
	want("again", set)
	m.withFirewall("run4", "1.3.0", "127.0.0.1:8100", false)
	want("not any more", del)
	m.withFirewall("run5", "1.4.0", "127.0.0.1:8100", true)
	f.since()
	if _, words := m.inspect(); words != "" {
		t.Errorf("the rule is there: %s", words)
	}
	f.mu.Lock()
	f.there = false // somebody removed it
	f.mu.Unlock()
	if _, words := m.inspect(); words != "firewall" {
		t.Errorf("the rule is gone: %q", words)
	}
	m.withFirewall("run6", "1.5.0", "127.0.0.1:8100", true)
	if _, words := m.inspect(); words != "" {
		t.Errorf("the next deploy restores it: %s", words)
	}
	f.since()
	r := m.acquire("x", "remove")
	if err := m.c.Remove(context.Background(), rpc.Remove{Fenced: r.f}); err != nil {
		t.Fatal(err)
	}
	want("removed", del)
}

// TestNoFirewall: a host without netsh serves, says why, and can be left.
func TestNoFirewall(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.withFirewall("run1", "1.0.0", "127.0.0.1:8100", true)
	if notes := strings.Join(m.status().Notes, "\n"); !strings.Contains(notes, "shipper-orders") {
		t.Errorf("nobody says that the port was not opened: %q", notes)
	}
	r := m.acquire("x", "remove")
	if err := m.c.Remove(context.Background(), rpc.Remove{Fenced: r.f}); err != nil {
		t.Fatal(err)
	}
}
