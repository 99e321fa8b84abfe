package rollout

import "testing"

func TestBarrier(t *testing.T) {
	t.Parallel()
	// seen is a host that committed 1.0.0, 2.0.0 and 3.0.0, as change makes them.
	seen := func(change func(k []Kept)) HostView {
		h := on("a", "1.0.0", "2.0.0", "3.0.0")
		change(h.Retained)
		return h
	}
	tests := []struct {
		name   string
		change func(k []Kept)
		to     string
		want   string
	}{
		{"none is", func([]Kept) {}, "", ""},
		{"the one that runs", func(k []Kept) { k[2].Irreversible = true }, "", "3.0.0"},
		{"one in between", func(k []Kept) { k[1].Irreversible = true }, "1.0.0", "2.0.0"},
		{"as far as to that one", func(k []Kept) { k[1].Irreversible = true }, "2.0.0", ""},
		{"one that was rolled back from", func(k []Kept) { k[1].Irreversible, k[1].Rejected = true, true }, "1.0.0", ""},
		{"one before the target", func(k []Kept) { k[0].Irreversible = true }, "2.0.0", ""},
	}
	for _, tt := range tests {
		hosts := []HostView{seen(tt.change)}
		d := DecideRollback(hosts, tt.to)
		k, ok := Barrier(hosts, d)
		if d.Exit != 0 || ok != (tt.want != "") || k.Release.Version != tt.want {
			t.Errorf("%s: %q (%v), want %q; decision %+v", tt.name, k.Release.Version, ok, tt.want, d)
		}
	}
	late := on("b", "1.0.0", "2.0.0") // was left behind by 3.0.0
	hosts := []HostView{seen(func(k []Kept) { k[2].Irreversible = true }), late}
	if k, ok := Barrier(hosts, DecideRollback(hosts, "1.0.0")); !ok || k.Release.Version != "3.0.0" {
		t.Errorf("a host that does not know of it: %+v", k)
	}
}
