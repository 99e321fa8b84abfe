// Orders is a small HTTP service that is shipped in the demo and the tests:
// orders as JSON under /orders, health under /healthz and /readyz, its
// version under /version. It runs as a native Windows service and as a plain
// console program, and it can be told to misbehave (faults.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Set by -ldflags -X.
var (
	version = "dev"
	commit  = "none"
	faults  = "" // NAME=value,… as in the environment: a version that is bad by itself
)

func main() {
	if err := run(os.Args[1:], os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(args []string, env func(string) string) error {
	flags := flag.NewFlagSet("orders", flag.ContinueOnError)
	listen := flags.String("listen", listenAddress(env), "address to listen on (also SHIPPER_LISTEN, PORT)")
	data := flags.String("data", env("ORDERS_DATA"), "file that keeps the orders (also ORDERS_DATA); empty: memory only")
	logTo := flags.String("log", env("ORDERS_LOG"), "file to append the log to (also ORDERS_LOG); empty: stderr")
	show := flags.Bool("version", false, "print the version and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *show {
		fmt.Println(version, commit)
		return nil
	}
	bad, err := parseFaults(faults, env)
	if err != nil {
		return err
	}
	if err := openLog(*logTo); err != nil {
		return err
	}
	store, err := openStore(*data)
	if err != nil {
		return err
	}
	defer store.close()
	s := &server{slot: env("SHIPPER_SLOT"), store: store, misbehaviour: misbehaviour{faults: bad}}
	return host(func(ctx context.Context, ready func()) error { return s.serve(ctx, *listen, ready) })
}

func listenAddress(env func(string) string) string {
	if a := env("SHIPPER_LISTEN"); a != "" {
		return a
	}
	if p := env("PORT"); p != "" {
		return "127.0.0.1:" + p
	}
	return "127.0.0.1:8080"
}

func openLog(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(f, nil)))
	return nil
}

// shutdownTime is how long requests in flight may take at a stop.
const shutdownTime = 10 * time.Second

// serve listens, calls ready, and serves until ctx ends; then it answers what
// is in flight.
func (s *server) serve(ctx context.Context, address string, ready func()) error {
	if err := s.slowStart(ctx); err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 90 * time.Second}
	slog.Info("serving", "version", version, "commit", commit, "slot", s.slot, "address", l.Addr().String())
	ready()
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	slog.Info("stopping", "why", context.Cause(ctx))
	s.stopping.Store(true)
	if s.faults.hangOnStop {
		select {}
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := srv.Shutdown(limited); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

// console runs the program in a terminal or under a wrapper: an interrupt,
// ctrl-break and SIGTERM stop it.
func console(serve func(ctx context.Context, ready func()) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := serve(ctx, func() {})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
