package main

import (
	"testing"
)

// TestNothingIsLost is the run of the bench with few rounds and less load.
func TestNothingIsLost(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts programs")
	}
	out, err := runOwn(t.Context(), t.TempDir(), options{rounds: 6, rate: 300, download: 10 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if out.failed()+out.cut() > 0 || out.switches != 6 || out.restarts != 3 || out.upgrades != 3 {
		t.Errorf("%d failed, %d cut in %d switches, %d restarts, %d upgrades:\n%s", out.failed(), out.cut(),
			out.switches, out.restarts, out.upgrades, out.report)
	}
	if out.report.Reopened == 0 {
		t.Error("no WebSocket was told to connect again")
	}
}
