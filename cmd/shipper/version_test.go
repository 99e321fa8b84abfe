package main

import (
	"runtime/debug"
	"testing"
)

func TestProgramOf(t *testing.T) {
	vcs := []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"},
		{Key: "vcs.time", Value: "2026-11-22T09:35:44Z"},
	}
	dirty := append([]debug.BuildSetting{{Key: "vcs.modified", Value: "true"}}, vcs...)
	for _, c := range []struct {
		main     string
		settings []debug.BuildSetting
		want     string
	}{
		{"v1.2.3", vcs, "1.2.3"},
		{"v1.2.3-rc.1", nil, "1.2.3-rc.1"},
		{"v1.2.3+dirty", dirty, "1.2.3+dirty"},
		{"v0.0.0-20261122093544-0123456789ab", vcs, "0.0.0-20261122093544.0123456"},
		{"v1.2.4-0.20261122093544-0123456789ab+dirty", dirty, "0.0.0-20261122093544.0123456+dirty"},
		{"(devel)", vcs, "0.0.0-20261122093544.0123456"},
		{"(devel)", nil, "0.0.0-unknown"},
		{"", nil, "0.0.0-unknown"},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Version: c.main}, Settings: c.settings}
		if got := programOf(info).Version; got != c.want {
			t.Errorf("%q: %s, want %s", c.main, got, c.want)
		}
	}
}
