//go:build linux

package main

import (
	"os"
	"testing"
)

// Forty pushes, each with something that goes wrong: all arrive whole, or say
// why they cannot. `make bench-push` does it a thousand times.
func TestPushesThroughFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	f := &faultRun{dir: t.TempDir(), pushes: 40, workers: 4, seed: 1, log: t.Logf}
	if os.Getuid() != 0 {
		t.Log("not root: no disk gets full")
	}
	if err := f.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, err := range f.failures {
		t.Error(err)
	}
	t.Logf("%d of %d ended as they must: %v", f.completed, f.pushes, f.by)
}
