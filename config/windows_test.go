package config

import (
	"strings"
	"testing"
	"time"
)

func TestWindows(t *testing.T) {
	office := Windows{Allow: []string{"Mon-Fri 09:00-17:00"}, Freeze: []string{"2026-12-18 to 2027-01-04"}, Timezone: "Europe/Berlin"}
	night := Windows{Allow: []string{"Fri 22:00-02:00"}, Timezone: "UTC"}
	weekend := Windows{Allow: []string{"Sat-Mon 00:00-24:00"}, Timezone: "UTC"}
	for _, c := range []struct {
		w    Windows
		at   string
		open bool
	}{
		{office, "2026-11-23T08:00:00Z", true},  // 09:00 in winter
		{office, "2026-07-06T07:00:00Z", true},  // and in summer
		{office, "2026-11-23T07:59:59Z", false}, // 08:59
		{office, "2026-11-23T16:00:00Z", false}, // 17:00
		{office, "2026-11-22T12:00:00Z", false}, // a Sunday
		{office, "2026-12-17T15:00:00Z", true},
		{office, "2026-12-17T23:30:00Z", false}, // 18th in Berlin
		{office, "2027-01-04T12:00:00Z", false},
		{office, "2027-01-05T12:00:00Z", true},
		{night, "2026-11-27T21:59:00Z", false},
		{night, "2026-11-27T22:00:00Z", true},
		{night, "2026-11-28T01:59:00Z", true},
		{night, "2026-11-28T02:00:00Z", false},
		{night, "2026-11-28T22:30:00Z", false}, // Saturday's own night
		{weekend, "2026-11-22T23:59:00Z", true},
		{weekend, "2026-11-23T23:59:00Z", true},
		{weekend, "2026-11-24T00:00:00Z", false},
		{Windows{Timezone: "UTC"}, "2026-11-24T00:00:00Z", true},
		{Windows{Timezone: "Nowhere/Town"}, "2026-11-24T00:00:00Z", false},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if why := c.w.Closed(at); (why == "") != c.open {
			t.Errorf("%+v at %s: %q", c.w, c.at, why)
		}
	}
}

func TestWindowsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "Mon", "Mon-Fri", "Mon 9:00-17:00", "Mon 09:00-09:00", "Mon 25:00-26:00", "Mon 24:00-01:00", "Mun 09:00-17:00", "Mon-Xyz 09:00-17:00"} {
		if a, err := parseAllow(text); err == nil {
			t.Errorf("allow %q: %+v", text, a)
		}
	}
	for _, text := range []string{"", "2026-02-30", "2026-12-24 to 2026-12-23", "2026-12-24 - 2026-12-25", "24.12.2026"} {
		if f, err := parseFreeze(text); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("freeze %q: %+v, %v", text, f, err)
		}
	}
}
