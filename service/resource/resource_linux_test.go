package resource

import "testing"

func TestParse(t *testing.T) {
	m, err := parseMeminfo("MemTotal:       16000 kB\nMemFree:  1000 kB\nMemAvailable:    4000 kB\nHugePages_Total:       0\n")
	if err != nil || m != (Memory{Total: 16000 << 10, Used: 12000 << 10}) || m.Percent() != 75 {
		t.Errorf("%+v, %v", m, err)
	}
	for _, text := range []string{"", "MemTotal: 10 kB\nMemAvailable: 20 kB\n"} {
		if m, err := parseMeminfo(text); err == nil {
			t.Errorf("%q: %+v", text, m)
		}
	}
	got, err := parseStat("cpu  10 20 30 400 50 6 7 8 9 10\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
	if err != nil || got != (ticks{busy: 81, all: 531}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"", "intr 1 2 3 4 5 6 7 8", "cpu 1 2", "cpu a b c d e f g h"} {
		if got, err := parseStat(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
