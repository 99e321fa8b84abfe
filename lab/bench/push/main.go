//go:build linux

// Command push measures how fast releases get to hosts, against its peers in
// the same run, and what goes wrong on the way. It prints a table, and as its
// last line one JSON object.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-shipper/shipper/lab"
)

func main() {
	lab.Serve()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	flag.Parse()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "shipper-bench-push-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	exe, err := executable(ctx, dir)
	if err != nil {
		return err
	}
	return wire(ctx, dir, exe)
}
