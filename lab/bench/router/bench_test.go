package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// The generator and the backend agree with each other on every kind of work,
// and the generator counts only what it was told to.
func TestLoadMeetsTheBackend(t *testing.T) {
	t.Parallel()
	b, err := newBackend()
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	for _, w := range works() {
		ask := func(l *load) int64 {
			l.measuring.Store(true)
			for counted := int64(0); counted == 0; counted = l.done.Load() {
				if t.Context().Err() != nil {
					t.Fatal("nothing was answered")
				}
			}
			if err := l.wait(); err != nil {
				t.Fatalf("%s: %v", w.name, err)
			}
			return l.count
		}
		if n := ask(startLoad(t.Context(), b.addr(0), w, 3)); n == 0 {
			t.Errorf("%s: nothing counted", w.name)
		}
	}
}

// An answer of another length is a failure of the proxy, never a fast answer.
func TestLoadRefusesAnotherAnswer(t *testing.T) {
	t.Parallel()
	b, err := newBackend()
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	wrong := work{name: "1k", path: "/1k", size: 2 << 10}
	l := startLoad(t.Context(), b.addr(1), wrong, 1)
	l.clients.Wait()
	if err := l.wait(); err == nil || !strings.Contains(err.Error(), "want 2048") {
		t.Errorf("error %v", err)
	}
}

func TestCPUOfAProcess(t *testing.T) {
	t.Parallel()
	pid, parent, used := parseStat([]byte("42 (nginx: (worker) ) S 7 42 42 0 -1 4194560 10 0 0 0 150 25 0 0 20 0 1 0 5 6 7"))
	if pid != 42 || parent != 7 || used != 1750*time.Millisecond {
		t.Errorf("pid %d, parent %d, CPU %v", pid, parent, used)
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("no /proc here")
	}
	if _, err := cpuOf(os.Getpid()); err != nil {
		t.Error(err)
	}
	if _, err := cpuOf(1 << 30); err == nil {
		t.Error("a process that does not exist has CPU time")
	}
}

// What was not measured is null, never zero: zero would be the best result.
func TestTheLastLine(t *testing.T) {
	t.Parallel()
	sampled := func(name string, cpus ...float64) *cell {
		c := &cell{proxy: &proxy{name: name}, work: works()[0]}
		for _, v := range cpus {
			c.samples = append(c.samples, sample{cpu: v, rps: 1000 / v})
		}
		return c
	}
	cells := []*cell{sampled("shipper", 10, 30, 50), sampled("caddy", 20, 50, 200)}
	var out strings.Builder
	if err := printResult(t.Context(), &out, cells, options{zeroLoss: `echo story; echo '{"switches":3,"failed":0}'`}); err != nil {
		t.Fatal(err)
	}
	var got map[string]*float64
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if v := got["cpu_vs_caddy"]; v == nil || *v != 0.5 {
		t.Errorf("cpu_vs_caddy in %s: want the median of the rounds' ratios, 0.5", &out)
	}
	if v := got["failed"]; v == nil || *v != 0 || got["switches"] == nil {
		t.Errorf("the zero-loss run is not in %s", &out)
	}
	for _, key := range []string{"cpu_vs_nginx", "cpu_vs_haproxy", "restarts", "wine_switches", "cut"} {
		if v, ok := got[key]; !ok || v != nil {
			t.Errorf("%s is not null in %s", key, &out)
		}
	}
}
