package delta

import (
	"bytes"
	"testing"

	"github.com/go-shipper/shipper/delta/deltatest"
)

// Two versions of a real service, as they are released.
func TestNextVersionOfAnExecutable(t *testing.T) {
	if testing.Short() {
		t.Skip("builds three executables")
	}
	dir := t.TempDir()
	build := func(change string) []byte {
		exe, err := deltatest.Build(t.Context(), dir, change)
		if err != nil {
			t.Fatal(err)
		}
		return exe
	}
	old := build(deltatest.First)
	for change, limit := range map[string]float64{deltatest.Version: 0.0001, deltatest.OneLine: 0.01} {
		new := build(change)
		d := encode(t, old, new)
		share := float64(len(d)) / float64(len(new))
		t.Logf("%s: %d of %d bytes, %.3f %%", change, len(d), len(new), 100*share)
		if share > limit {
			t.Errorf("%s: more than %.2f %%", change, 100*limit)
		}
		if got, err := apply(old, d, len(new)); err != nil || !bytes.Equal(got, new) {
			t.Errorf("%s: decoded to %d bytes, %v", change, len(got), err)
		}
	}
}

// BenchmarkExecutable is what a small change of a real service costs.
func BenchmarkExecutable(b *testing.B) {
	dir := b.TempDir()
	old, err := deltatest.Build(b.Context(), dir, deltatest.First)
	if err != nil {
		b.Fatal(err)
	}
	new, err := deltatest.Build(b.Context(), dir, deltatest.OneLine)
	if err != nil {
		b.Fatal(err)
	}
	d := encode(b, old, new)
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(int64(len(new)))
		for b.Loop() {
			encode(b, old, new)
		}
		b.ReportMetric(100*float64(len(d))/float64(len(new)), "delta_percent")
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(new)))
		for b.Loop() {
			if _, err := apply(old, d, len(new)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
