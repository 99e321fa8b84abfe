package simulate

import (
	"encoding/json"
	"flag"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"
)

var (
	seeds  = flag.Int("seeds", 4, "how many seeds are simulated")
	seed   = flag.Uint64("seed", 0, "replay this seed only, and tell its story")
	quick  = flag.Bool("first", false, "end at the first violation")
	hashes = flag.Bool("hashes", false, "tell a hash of each story")
	from   = flag.Uint64("from", 1, "the first seed")
	list   = flag.String("list", "", "simulate these seeds only: 3,5,8")
)

func TestMain(m *testing.M) {
	flag.Parse()
	runtime.GOMAXPROCS(1) // one goroutine at a time: the clock decides who is next
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(2 << 30)
	os.Exit(m.Run())
}

// TestSimulate releases once per seed, in a world where anything may happen.
func TestSimulate(t *testing.T) {
	shop := newWorkshop(t)
	began, bad := time.Now(), 0
	ends := map[string]int{}
	all := chosen(t)
	for n, s := range all {
		w := simulate(t, s, shop, newScenario(s))
		if n%8 == 7 { // never in a world: that would depend on what was before it
			runtime.GC()
		}
		w.tell(t)
		if w.main != nil {
			ends[string(w.main.res.State)]++
		}
		if err := w.err(); err != nil {
			bad++
			t.Errorf("seed %d: %v\nreplay: go run ./lab/simulate/all -seed %d", s, err, s)
			if bad >= 20 || *quick || w.wrecked {
				break
			}
		}
	}
	t.Logf("%d seeds in %s, %d violations, runs ended %v", len(all), time.Since(began).Round(time.Millisecond), bad, ends)
	tell(t, map[string]any{"seeds": len(all), "violations": bad, "seconds": time.Since(began).Seconds()})
}

// chosen are the seeds that the flags ask for.
func chosen(t *testing.T) (out []uint64) {
	if *seed != 0 {
		return []uint64{*seed}
	}
	for text := range strings.SplitSeq(*list, ",") {
		if s, err := strconv.ParseUint(text, 10, 64); err == nil {
			out = append(out, s)
		} else if *list != "" {
			t.Fatal(err)
		}
	}
	for n := range *seeds {
		if *list == "" {
			out = append(out, *from+uint64(n))
		}
	}
	return out
}

// telling reports whether anybody wants to know what happens in a world.
func telling() bool { return *seed != 0 || *hashes }

// tell prints what the flags ask for.
func (w *world) tell(t *testing.T) {
	if *seed != 0 {
		t.Logf("%+v\n%s", w.plan, w.told())
	}
	if *hashes {
		t.Logf("story %d %016x", w.seed, w.sum)
	}
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

// simulate lets one world live and gives it back with what was broken.
func simulate(t *testing.T, seed uint64, shop *workshop, plan scenario) (w *world) {
	t.Helper()
	var failed error
	defer func() {
		if r := recover(); r != nil {
			if w == nil {
				panic(r)
			}
			buf := make([]byte, 1<<20)
			w.breaks("panic: %v\n%s", r, buf[:runtime.Stack(buf, true)])
			w.wrecked = true
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		cryptotest.SetGlobalRandom(t, seed)
		if w, failed = newWorld(seed, shop, plan); failed == nil {
			w.live()
		}
	})
	if failed != nil {
		t.Fatal(failed)
	}
	if !plan.only {
		if err := os.RemoveAll(shop.world()); err != nil {
			t.Fatal(err)
		}
	}
	return w
}
