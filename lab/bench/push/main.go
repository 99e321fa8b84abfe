//go:build linux

// Command push measures how fast releases get to hosts, against its peers in
// the same run, and what goes wrong on the way. It prints a table, and as its
// last line one JSON object.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/go-shipper/shipper/lab"
)

// bench is one run.
type bench struct {
	dir      string
	exe      []byte
	versions int
	results  map[string]float64
	hosts    processor // of the last simulated hosts
	pushes   int       // of the fault run
	seed     uint64
}

func main() {
	lab.Serve()
	debug.SetGCPercent(50) // as cmd/shipper does
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	role := flag.String("role", "", "what this process is, when it is not the bench: hosts or controller")
	only := flag.String("only", "wire,latency,delta,memory,fleet,light,faults", "which `PARTS` to measure, separated by commas")
	pushes := flag.Int("faults", 1000, "how `MANY` pushes of the fault run")
	seed := flag.Uint64("seed", 1, "of the fault run")
	flag.Parse()
	b := &bench{results: map[string]float64{}, pushes: *pushes, seed: *seed}
	if err := b.act(ctx, *role, strings.Split(*only, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func (b *bench) act(ctx context.Context, role string, parts []string) error {
	switch role {
	case "hosts":
		return serveHosts(ctx, os.Stdin, os.Stdout)
	case "controller":
		return serveController(ctx, os.Stdin, os.Stdout)
	}
	return b.run(ctx, parts)
}

func (b *bench) run(ctx context.Context, parts []string) error {
	dir, err := os.MkdirTemp("", "shipper-bench-push-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	if b.exe, err = executable(ctx, dir); err != nil {
		return err
	}
	all := map[string]func(context.Context) error{"wire": b.wire, "latency": b.latency, "memory": b.memory, "faults": b.faults, "delta": b.delta, "fleet": b.fleet, "light": b.lightFleet}
	for _, part := range parts {
		if err := all[part](ctx); err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(b.results)
}

// row prints a line of the table.
func (b *bench) row(what string, values ...string) {
	fmt.Printf("%-48s", what)
	for _, v := range values {
		fmt.Printf("%16s", v)
	}
	fmt.Println()
}

// lower keeps the worse of what was measured for a goal that must be reached.
func (b *bench) lower(key string, v float64) {
	if old, ok := b.results[key]; !ok || v < old {
		b.results[key] = v
	}
}
