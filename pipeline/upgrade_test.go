//go:build !windows

package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// placeHelper puts a program into the host's bin, as a bootstrap would.
func (m *machine) placeHelper(t *testing.T, script string) release.Digest {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	body := []byte("#!/bin/sh\n" + strings.ReplaceAll(script, "SELF", "'"+self+"'"))
	digest := release.Of(body)
	path := filepath.Join(m.layout.Programs, "bin", strings.TrimPrefix(string(digest), "sha256:"), filepath.Base(self))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o700); err != nil {
		t.Fatal(err)
	}
	return digest
}

// TestDeployUpgradesTheRouter: after the commit, never to an older one, and
// one that does not start is a warning only.
func TestDeployUpgradesTheRouter(t *testing.T) {
	b := newBed(t)
	b.steps(config.Step{SetWeight: weight(100)})
	b.target.Traffic.TunnelGrace = 1500 * time.Millisecond
	web1 := b.machines["web1"]
	old := web1.placeHelper(t, "# old\nexec SELF \"$@\"\n")
	newer := web1.placeHelper(t, "# newer\nexec SELF \"$@\"\n")
	broken := web1.placeHelper(t, "exit 3\n")
	for _, c := range []struct {
		release, shipper string
		helper, runs     release.Digest
		warns            bool
	}{
		{"1.0.0", "2.0.0", newer, newer, false},
		{"1.1.0", "1.0.0", old, newer, false},
		{"1.2.0", "3.0.0+dirty", broken, newer, false},
		{"1.3.0", "3.0.0", broken, newer, true},
	} {
		b.forget()
		p := b.pipeline()
		p.Version, p.Brought = c.shipper, func(string) release.Digest { return c.helper }
		res, err := p.Deploy(t.Context(), DeployRequest{Bundle: b.bundle(c.release)})
		b.want(res, err, rollout.Promoted, 0)
		if got := b.router().Helper; got != c.runs {
			t.Errorf("shipper %s: the router runs %s, want %s\n%s", c.shipper, got.Short(), c.runs.Short(), b.story())
		}
		if got := b.warns("the router was not upgraded"); got != c.warns {
			t.Errorf("shipper %s: warned %v\n%s", c.shipper, got, b.story())
		}
	}
	v, err := router.NewClient(web1.layout.Router()).Get(t.Context(), "orders")
	if err != nil || v.TunnelGrace != b.target.Traffic.TunnelGrace {
		t.Errorf("the grace of tunnels is %v, %v", v.TunnelGrace, err)
	}
}

func (b *bed) router() (st rpc.RouterState) {
	b.t.Helper()
	h := newHost(b.pipeline(), b.target.Hosts[0])
	defer h.drop()
	err := h.call(b.t.Context(), 0, func(c *rpc.Client) (err error) {
		st, err = c.ChangeRouter(b.t.Context(), rpc.ChangeRouter{Do: rpc.RouterLook, By: "tester"})
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return st
}

func (b *bed) warns(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.records {
		if r.Type == journal.TypeWarning && strings.Contains(string(r.Data), text) {
			return true
		}
	}
	return false
}
