// Command all is make simulate: it divides the seeds among the processors,
// because each simulation uses one, then plants bugs, and prints a table and a
// line of JSON.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"
)

const pkg = "./lab/simulate"

// summary is what the tests leave behind.
type summary struct {
	Seeds      int `json:"seeds"`
	Violations int `json:"violations"`
	Mutants    int `json:"mutants"`
	Caught     int `json:"mutants_caught"`
}

func main() {
	seeds := flag.Int("seeds", 2000, "how many seeds")
	mutants := flag.Int("mutants", 400, "seeds that may be needed to catch a planted bug; 0: plant none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	sum, err := run(ctx, *seeds, *mutants)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	line, _ := json.Marshal(sum) // a plain struct
	fmt.Println(string(line))
	if err != nil {
		os.Exit(1)
	}
}

func run(ctx context.Context, seeds, mutants int) (sum summary, err error) {
	dir, err := os.MkdirTemp("", "shipper-simulate-")
	if err != nil {
		return sum, err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "simulate.test")
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", bin, pkg).CombinedOutput(); err != nil {
		return sum, fmt.Errorf("build: %w\n%s", err, out)
	}
	began := time.Now()
	err = shards(ctx, bin, dir, seeds, &sum)
	took := time.Since(began)
	fmt.Printf("seeds       %d in %s, %.1f per second\nviolations  %d\n", sum.Seeds, took.Round(time.Second), float64(sum.Seeds)/took.Seconds(), sum.Violations)
	if err != nil || mutants == 0 {
		return sum, err
	}
	got, err := one(ctx, bin, filepath.Join(dir, "mutants.json"), "^TestMutantsAreCaught$", "-mutants", strconv.Itoa(mutants))
	sum.Mutants, sum.Caught = got.Mutants, got.Caught
	fmt.Printf("mutants     %d, %d caught\n", sum.Mutants, sum.Caught)
	return sum, err
}

// shards runs an equal part of the seeds on each processor.
func shards(ctx context.Context, bin, dir string, seeds int, sum *summary) error {
	n := runtime.NumCPU()
	var mu sync.Mutex
	var first error
	var work sync.WaitGroup
	for i := range n {
		from, to := seeds*i/n, seeds*(i+1)/n
		work.Go(func() {
			got, err := one(ctx, bin, filepath.Join(dir, fmt.Sprint(i, ".json")), "^TestSimulate$",
				"-from", strconv.Itoa(from+1), "-seeds", strconv.Itoa(to-from))
			mu.Lock()
			defer mu.Unlock()
			sum.Seeds, sum.Violations = sum.Seeds+got.Seeds, sum.Violations+got.Violations
			if first == nil {
				first = err
			}
		})
	}
	work.Wait()
	return first
}

// one runs a test of the binary and reads what it left behind.
func one(ctx context.Context, bin, result, test string, args ...string) (summary, error) {
	var s summary
	cmd := exec.CommandContext(ctx, bin, append([]string{"-test.run", test, "-test.timeout", "0", "-test.v"}, args...)...)
	cmd.Dir, cmd.Env = pkg, append(os.Environ(), "SHIPPER_SIMULATE_SUMMARY="+result)
	out, err := cmd.CombinedOutput()
	os.Stderr.Write(bytes.TrimSpace(out))
	fmt.Fprintln(os.Stderr)
	b, missing := os.ReadFile(result)
	if missing == nil {
		missing = json.Unmarshal(b, &s)
	}
	if err == nil {
		err = missing
	}
	return s, err
}
