//go:build linux

// Command service measures what the service kit costs: start, memory, time per
// request, and its log beside zap and zerolog. It prints a table, and as its
// last line one JSON object.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
)

type bench struct {
	dir     string
	rounds  int
	lines   int
	callers int
	results map[string]float64
}

func main() {
	b := &bench{results: map[string]float64{}}
	flag.IntVar(&b.rounds, "rounds", 5, "how `OFTEN` each is measured, in turn; medians count")
	flag.IntVar(&b.lines, "lines", 3_000_000, "how `MANY` lines each log takes per round")
	flag.IntVar(&b.callers, "callers", 8, "how `MANY` goroutines log")
	parent := flag.String("dir", "", "`FOLDER` on the disk that is measured; empty: the one for temporary files")
	flag.Parse()
	if err := b.run(*parent); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func (b *bench) run(parent string) error {
	dir, err := os.MkdirTemp(parent, "shipper-bench-service-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.dir = dir
	for _, part := range []func() error{b.processes, b.requests, b.logs} {
		if err := part(); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(b.results)
}

// row prints a line of the table.
func row(what string, values ...string) {
	fmt.Printf("%-44s", what)
	for _, v := range values {
		fmt.Printf(" %16s", v)
	}
	fmt.Println()
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}
