// Command all is make simulate: it builds the simulation so that it replays
// exactly, divides the seeds among the processors, because each world uses
// one, plays some of them twice, plants bugs and counts what is covered. It
// prints a table and a line of JSON.
package main

import (
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

	"github.com/go-shipper/shipper/lab/simulate/exact"
)

const pkg = "./lab/simulate"

// summary is what the tests leave behind.
type summary struct {
	Seeds      int `json:"seeds"`
	Violations int `json:"violations"`
	Mutants    int `json:"mutants"`
	Caught     int `json:"mutants_caught"`
}

// options are the flags.
type options struct {
	seed, from                      uint64
	seeds, replays, mutants, covers int
}

func main() {
	var o options
	flag.Uint64Var(&o.seed, "seed", 0, "replay this seed only, and tell its story")
	flag.Uint64Var(&o.from, "from", 1, "the first of the seeds")
	flag.IntVar(&o.seeds, "seeds", 5000, "how many seeds; GOMAXPROCS says by how many processes")
	flag.IntVar(&o.replays, "replays", 100, "how many of them are played twice, in two processes")
	flag.IntVar(&o.mutants, "mutants", 1, "seeds that may be needed to catch a planted bug, after those that are known to; 0: plant none")
	flag.IntVar(&o.covers, "cover", 0, "seeds of a run that counts what is covered; 0: do not")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	sum, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	line, _ := json.Marshal(sum) // a plain struct
	fmt.Println(string(line))
	if err != nil {
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (sum summary, err error) {
	dir, err := os.MkdirTemp("", "shipper-simulate-")
	if err != nil {
		return sum, err
	}
	defer os.RemoveAll(dir)
	s := &simulation{ctx: ctx, dir: dir}
	if s.bin, err = s.build("simulate.test"); err != nil {
		return sum, err
	}
	if o.seed != 0 {
		_, err := s.one("^TestSimulate$", "-seed", strconv.FormatUint(o.seed, 10))
		return sum, err
	}
	began := time.Now()
	sum, err = s.shards(o.from, o.seeds)
	took := time.Since(began)
	fmt.Printf("seeds       %d in %s, %.1f per second\nviolations  %d\n", sum.Seeds, took.Round(time.Second), float64(sum.Seeds)/took.Seconds(), sum.Violations)
	if err != nil {
		return sum, err
	}
	if err := s.replay(o.replays); err != nil {
		return sum, err
	}
	if o.mutants > 0 {
		got, err := s.one("^TestMutantsAreCaught$", "-mutants", strconv.Itoa(o.mutants))
		sum.Mutants, sum.Caught = got.Mutants, got.Caught
		fmt.Printf("mutants     %d, %d caught\n", sum.Mutants, sum.Caught)
		if err != nil {
			return sum, err
		}
	}
	return sum, s.cover(o.covers)
}

// simulation is a program that was built, and a folder for what it leaves.
type simulation struct {
	ctx context.Context
	dir string
	bin string

	mu   sync.Mutex
	runs int
}

func (s *simulation) build(name string, args ...string) (string, error) {
	bin := filepath.Join(s.dir, name)
	overlay, err := exact.Overlay(s.dir, nil)
	if err != nil {
		return "", err
	}
	args = append([]string{"test", "-c", "-vet=off", "-overlay", overlay, "-o", bin}, append(args, pkg)...)
	if out, err := exec.CommandContext(s.ctx, "go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return bin, nil
}

// shards runs an equal part of the seeds on each processor.
func (s *simulation) shards(first uint64, seeds int) (sum summary, failed error) {
	n := runtime.GOMAXPROCS(0)
	var mu sync.Mutex
	var work sync.WaitGroup
	for i := range n {
		from, to := seeds*i/n, seeds*(i+1)/n
		work.Go(func() {
			got, err := s.one("^TestSimulate$", "-from", strconv.FormatUint(first+uint64(from), 10), "-seeds", strconv.Itoa(to-from))
			mu.Lock()
			defer mu.Unlock()
			sum.Seeds, sum.Violations = sum.Seeds+got.Seeds, sum.Violations+got.Violations
			if failed == nil {
				failed = err
			}
		})
	}
	work.Wait()
	return sum, failed
}

// one runs a test of the program, shows what it says and reads what it left.
func (s *simulation) one(test string, args ...string) (summary, error) {
	var sum summary
	s.mu.Lock()
	s.runs++
	result := filepath.Join(s.dir, fmt.Sprint(s.runs, ".json"))
	s.mu.Unlock()
	out, err := s.output(result, append([]string{"-test.run", test}, args...)...)
	os.Stderr.Write(out)
	b, missing := os.ReadFile(result)
	if missing == nil {
		missing = json.Unmarshal(b, &sum)
	}
	if err == nil {
		err = missing
	}
	return sum, err
}

func (s *simulation) output(result string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(s.ctx, s.bin, append([]string{"-test.timeout", "0", "-test.v"}, args...)...)
	cmd.Dir, cmd.Env = pkg, append(os.Environ(), "SHIPPER_SIMULATE_SUMMARY="+result)
	out, err := cmd.CombinedOutput()
	return out, err
}
