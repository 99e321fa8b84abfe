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
}

func main() {
	lab.Serve()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	only := flag.String("only", "wire", "which `PARTS` to measure, separated by commas")
	flag.Parse()
	if err := run(ctx, strings.Split(*only, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, parts []string) error {
	dir, err := os.MkdirTemp("", "shipper-bench-push-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, results: map[string]float64{}}
	if b.exe, err = executable(ctx, dir); err != nil {
		return err
	}
	all := map[string]func(context.Context) error{"wire": b.wire}
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
