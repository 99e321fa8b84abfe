//go:build linux

package winrm

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/go-shipper/shipper/lab/wsman"
	"github.com/go-shipper/shipper/transport"
)

// A password that is rotated in the middle of a run: what is open goes on, a
// new connection is refused until the reference gives the new one, and the old
// one is tried twice at most, however often somebody asks.
func TestRotatedPassword(t *testing.T) {
	var right, known atomic.Pointer[string]
	set := func(p *atomic.Pointer[string], s string) { p.Store(&s) }
	set(&right, "first")
	set(&known, "first")
	var asked atomic.Int64
	h := startHostAs(t, wsman.Config{Password: func(string) (string, bool) {
		asked.Add(1)
		return *right.Load(), true
	}})
	cfg := h.http
	cfg.Credentials = func(context.Context) (Credentials, error) {
		return Credentials{User: testUser, Password: *known.Load()}, nil
	}
	c := dial(t, cfg).(*conn)
	defer c.Close()
	run := func() error {
		_, err := c.Run(t.Context(), "true", nil)
		return err
	}
	asked.Store(0)
	set(&right, "second")
	if err := run(); err != nil {
		t.Errorf("on an open connection: %v", err)
	}
	for range 5 {
		c.loseLinks()
		denied(t, run(), transport.Denied, "")
	}
	if n := asked.Load(); n != maxRefusals {
		t.Errorf("the old password was tried %d times", n)
	}
	set(&known, "second")
	c.loseLinks()
	if err := run(); err != nil {
		t.Errorf("with the new password: %v", err)
	}
}
