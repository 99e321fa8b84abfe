//go:build !windows

package winrm

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/wsman"
	"github.com/go-shipper/shipper/transport"
)

// Shells that a controller which died has left behind make room where the host
// allows no more; those of others, and of controllers that live, stay.
func TestShellsLeftBehindMakeRoom(t *testing.T) {
	h := startHost(t, wsman.Limits{Shells: 3})
	died, other := dial(t, h.http).(*conn), dial(t, h.http).(*conn)
	left, err := died.c.newShell(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := other.c.do(t.Context(), other.c.build.create("an administrator's", time.Hour), true)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := b.shellID()
	theirs := &shell{c: other.c, id: id}
	living := dial(t, h.http)
	defer living.Close()
	pipe, err := living.Pipe(t.Context(), "exec cat")
	if err != nil {
		t.Fatal(err)
	}

	cfg := h.http
	cfg.orphanAge = time.Hour
	young := dial(t, cfg)
	defer young.Close()
	_, err = young.Run(t.Context(), "true", nil)
	var e *transport.Error
	if !errors.As(err, &e) || e.Kind != transport.Quota {
		t.Errorf("nobody is an orphan yet: %v", err)
	}
	if n := h.Asked("Enumerate"); n != 1 {
		t.Errorf("the host was asked %d times for its shells", n)
	}

	cfg.orphanAge = 50 * time.Millisecond
	c := dial(t, cfg)
	defer c.Close()
	var ids []string
	poll(t, "age of the shell that was left", func() bool {
		ids = orphansOf(t, c.(*conn))
		return slices.Contains(ids, left.id)
	})
	if len(ids) != 1 {
		t.Errorf("orphans %q, want only %s", ids, left.id)
	}
	if res, err := c.Run(t.Context(), "true", nil); err != nil || res.Exit != 0 {
		t.Errorf("after the orphan made room: %+v, %v", res, err)
	}
	if err := theirs.close(t.Context()); err != nil {
		t.Errorf("an administrator's shell: %v", err)
	}
	if _, err := pipe.Write([]byte("still here")); err != nil {
		t.Errorf("the living one's shell: %v", err)
	}
}

func orphansOf(t *testing.T, c *conn) []string {
	t.Helper()
	b, err := c.c.do(t.Context(), c.c.build.enumerate(), true)
	if err != nil {
		t.Fatal(err)
	}
	return b.orphans(c.c.cfg.orphanAge)
}

func TestDurationsOfHosts(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"P0DT1H4M33S": time.Hour + 4*time.Minute + 33*time.Second, "PT12.345S": 12345 * time.Millisecond, "P1D": 24 * time.Hour, "PT0S": 0,
		"": -1, "P": -1, "12": -1, "PT-5S": -1, "PT1S; drop": -1,
	} {
		d, ok := isoDuration(s)
		if ok != (want >= 0) || ok && d != want {
			t.Errorf("%q: %s, %v", s, d, ok)
		}
	}
}
