// Command router measures the router beside nginx, HAProxy and Caddy: the same
// backend, the same load, the same two cores, in interleaved rounds of one
// run. It prints a table for people and one JSON object as the last line.
// docs/BENCHMARKS.md tells the method; `make bench-router` is the way to run it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

type options struct {
	rounds      int
	warm, span  time.Duration
	connections int
	proxies     string // names, by commas; empty: all
	work        string // names, by commas; empty: all
	zeroLoss    string // the command of the zero-loss run; empty: none
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "interleaved rounds; the table shows medians")
	flag.DurationVar(&o.warm, "warm", 500*time.Millisecond, "load before each measurement")
	flag.DurationVar(&o.span, "for", 2*time.Second, "length of each measurement")
	flag.IntVar(&o.connections, "connections", 64, "clients, each with one connection and one request at a time")
	flag.StringVar(&o.proxies, "proxies", "", "only these, by commas: shipper, haproxy, nginx, caddy")
	flag.StringVar(&o.work, "work", "", "only these, by commas: 1k, 100k, ws")
	flag.StringVar(&o.zeroLoss, "zero-loss", "", "a command whose last line is the JSON of a zero-loss run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "bench-router-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b, err := newBackend()
	if err != nil {
		return err
	}
	defer b.close()
	cells, stop, err := startCells(ctx, dir, b, o)
	defer stop()
	if err != nil {
		return err
	}
	if err := measureAll(ctx, cells, o); err != nil {
		return err
	}
	printTable(os.Stdout, cells)
	return printResult(ctx, os.Stdout, cells, o)
}

// measureAll goes through all cells in each round, beginning with another one
// each time, so that what else the machine does meets everyone alike.
func measureAll(ctx context.Context, cells []*cell, o options) error {
	for round := range o.rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, o.rounds)
		for i := range cells {
			c := cells[(i+round)%len(cells)]
			s, err := measure(ctx, c, o)
			if err != nil {
				return fmt.Errorf("%s %s: %w", c.proxy.name, c.work.name, err)
			}
			c.samples = append(c.samples, s)
		}
	}
	return nil
}

// chosen reports whether a list of names has this one, or chooses nothing.
func chosen(list, name string) bool {
	return list == "" || strings.Contains(","+list+",", ","+name+",")
}
