//go:build linux

// Command rollback measures how fast a bad release is found and taken back:
// real guards, routers and instances as processes, two hosts per fleet, each
// in a network of its own, and hundreds of clients with addresses of their
// own. The same incident is judged in the way that Flagger documents. It
// prints a table, and as its last line one JSON object.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

type options struct {
	rounds   int
	flagger  int // rounds of Flagger's way
	parallel int // fleets side by side
	clients  int
	verbose  bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := dispatch(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// dispatch plays the role that the program was started in: a host and what
// runs there are processes of this program, too.
func dispatch(ctx context.Context, args []string) error {
	role := ""
	if len(args) > 0 {
		role = args[0]
	}
	switch role {
	case "host": // ROOT SOCKET
		return serveHost(ctx, args[1], args[2])
	case "router": // NAME --root ROOT
		return serveRouter(ctx, args[1], args[3])
	case "instance":
		return serveInstance(ctx)
	case "bench":
		return bench(ctx, args[1:])
	}
	return enclose(ctx, args)
}

// enclose runs the bench in a network of its own, which ends with it.
func enclose(ctx context.Context, args []string) error {
	cmd, err := self(ctx, append([]string{"bench"}, args...)...)
	if err != nil {
		return err
	}
	cmd.Stdout = os.Stdout
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	return cmd.Run()
}

// self starts this program in a role, without the machine's network.
func self(ctx context.Context, args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if id := os.Getuid(); id != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return cmd, nil
}

func bench(ctx context.Context, args []string) error {
	var o options
	flags := flag.NewFlagSet("rollback", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 20, "runs of each case")
	flags.IntVar(&o.flagger, "flagger", -1, "runs of Flagger's way; -1: a fourth of rounds, at least two")
	flags.IntVar(&o.parallel, "parallel", 4, "fleets side by side")
	flags.IntVar(&o.clients, "clients", 320, "clients, each with an address of its own")
	flags.BoolVar(&o.verbose, "v", false, "tell each run")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.rounds < 1 || o.parallel < 1 || o.parallel > 100 || o.clients < 1 || o.clients > 60_000 {
		return errors.New("want at least one round, 1 to 100 fleets and 1 to 60000 clients")
	}
	if o.flagger < 0 {
		o.flagger = max(2, o.rounds/4)
	}
	dir, err := os.MkdirTemp("", "bench-rollback-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := prepareNetwork(ctx); err != nil {
		return err
	}
	results, err := measureAll(ctx, dir, o)
	if err != nil {
		return err
	}
	printTable(os.Stdout, results)
	return printResult(os.Stdout, results)
}
