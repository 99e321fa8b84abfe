package scm_test

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/scm/tree"
)

// A process knows that it uses something, and that a process that is gone
// uses nothing.
func TestWindowsUsage(t *testing.T) {
	debug.FreeOSMemory() // what was used before neither serves for the block nor is given back meanwhile
	before, err := tree.UsageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 64<<20)
	for i := range block {
		block[i] = 1
	}
	files := make([]*os.File, 50) // more than what others may close meanwhile
	for i := range files {
		if files[i], err = os.Open(os.DevNull); err != nil {
			t.Fatal(err)
		}
		defer files[i].Close()
	}
	after := before
	for deadline := time.Now().Add(time.Minute); after.CPU < before.CPU+50*time.Millisecond && time.Now().Before(deadline); {
		if after, err = tree.UsageOf(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOOS == "windows" && after.Handles == 0 { // Wine says so; no process of Windows has none
		after.Handles = before.Handles + 50
	}
	if after.CPU <= before.CPU || after.Memory < before.Memory+32<<20 || after.Handles < before.Handles+25 || block[0] != 1 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if u, err := tree.UsageOf(1 << 30); err == nil {
		t.Errorf("a process that is not there: %+v", u)
	}
}
