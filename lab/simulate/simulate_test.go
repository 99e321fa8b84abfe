package simulate

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seeds = flag.Int("seeds", 15, "how many seeds are simulated")
	seed  = flag.Uint64("seed", 0, "replay this seed only, and tell its story")
	quick = flag.Bool("first", false, "end at the first violation")
	from  = flag.Uint64("from", 1, "the first seed")
)

func TestMain(m *testing.M) {
	flag.Parse()
	runtime.GOMAXPROCS(1) // one goroutine at a time: the clock decides who is next
	os.Exit(m.Run())
}

// TestSimulate releases once per seed, in a world where anything may happen.
func TestSimulate(t *testing.T) {
	begin, count := *from, *seeds
	if testing.Short() {
		count = min(count, 50)
	}
	if *seed != 0 {
		begin, count = *seed, 1
	}
	dir, bundles := workshop(t)
	began, bad := time.Now(), 0
	ends := map[string]int{}
	for s := begin; s < begin+uint64(count); s++ {
		w := simulate(t, s, dir, bundles)
		if *seed != 0 {
			t.Logf("%+v\n%s", w.plan, w.told())
		}
		if all := w.controllers(); len(all) > 1 {
			ends[string(all[1].res.State)]++
		}
		if err := w.err(); err != nil {
			bad++
			t.Errorf("seed %d: %v\nreplay: go test ./lab/simulate -run TestSimulate -seed %d", s, err, s)
			if bad >= 20 || *quick {
				break
			}
		}
	}
	t.Logf("%d seeds in %s, %d violations, runs ended %v", count, time.Since(began).Round(time.Millisecond), bad, ends)
	tell(t, map[string]any{"seeds": count, "violations": bad, "seconds": time.Since(began).Seconds()})
}

// tell leaves a summary where make simulate looks for it.
func tell(t *testing.T, v map[string]any) {
	path := os.Getenv("SHIPPER_SIMULATE_SUMMARY")
	if path == "" {
		return
	}
	b, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Error(err)
	}
}

// workshop is a folder in memory, where there is one: the disk of the hosts.
func workshop(t *testing.T) (string, map[string]string) {
	t.Helper()
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = ""
	}
	dir, err := os.MkdirTemp(base, "shipper-simulate-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	bundles, err := packAll(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, bundles
}

// simulate lets one world live and gives it back with what was broken.
func simulate(t *testing.T, seed uint64, dir string, bundles map[string]string) *world {
	t.Helper()
	var w *world
	var failed error
	mine := filepath.Join(dir, fmt.Sprint(seed))
	defer os.RemoveAll(mine)
	defer func() {
		if r := recover(); r != nil {
			if w == nil {
				panic(r)
			}
			w.breaks("panic: %v\n%s", r, debug.Stack())
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		if w, failed = newWorld(seed, mine, bundles); failed == nil {
			w.live()
		}
	})
	if failed != nil {
		t.Fatal(failed)
	}
	return w
}
