// Dummy is a console program for tests of wrappers: it prints, may start
// children, serves a health check if asked to, and stops by the one way it
// was told to obey, or not at all.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

type options struct {
	stop     string        // stdin | http | signal | never
	exit     int           // exit code at the end
	children int           // processes that never stop by themselves
	listen   string        // serves /healthz, and POST /stop if stop is http
	lines    int           // printed to stdout and stderr at the start
	after    time.Duration // ends by itself; 0: does not
}

func main() {
	o, err := parse(os.Args[1:], os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	if err := run(o, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	os.Exit(o.exit)
}

func parse(args []string, env func(string) string) (options, error) {
	var o options
	f := flag.NewFlagSet("dummy", flag.ContinueOnError)
	f.StringVar(&o.stop, "stop", "signal", "what stops it: stdin (its end), http (POST /stop), signal (interrupt, ctrl-break), never")
	f.IntVar(&o.exit, "exit", 0, "exit code")
	f.IntVar(&o.children, "children", 0, "children to start, which only a kill stops")
	f.StringVar(&o.listen, "listen", env("SHIPPER_LISTEN"), "address to serve on (also SHIPPER_LISTEN); empty: none")
	f.IntVar(&o.lines, "lines", 1, "lines to print to stdout and to stderr")
	f.DurationVar(&o.after, "after", 0, "end by itself after this time")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if !slices.Contains([]string{"stdin", "http", "signal", "never"}, o.stop) {
		return o, fmt.Errorf("-stop %q: want stdin, http, signal or never", o.stop)
	}
	return o, nil
}

// run returns when the program is to end. It tells on out what it does, so
// that tests can wait for it: "child PID", "listening ADDRESS", "ready", "stopped by …".
func run(o options, in io.Reader, out io.Writer) error {
	for i := range o.lines {
		fmt.Fprintln(out, "line", i+1)
		fmt.Fprintln(os.Stderr, "complaint", i+1)
	}
	for range o.children {
		pid, err := startChild()
		if err != nil {
			return fmt.Errorf("start child: %w", err)
		}
		fmt.Fprintln(out, "child", pid)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	watch(o, in, stop)
	if o.listen != "" {
		address, err := serve(ctx, o, stop)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "listening", address)
	}
	fmt.Fprintln(out, "ready")
	<-ctx.Done()
	fmt.Fprintln(out, "stopped by", context.Cause(ctx))
	return nil
}

// watch ignores every way to stop but the one that was chosen.
func watch(o options, in io.Reader, stop context.CancelCauseFunc) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for s := range signals {
			if o.stop == "signal" {
				stop(errors.New(s.String()))
			}
		}
	}()
	if o.stop == "stdin" {
		go func() {
			bufio.NewReader(in).WriteTo(io.Discard)
			stop(errors.New("the end of stdin"))
		}()
	}
	if o.after > 0 {
		time.AfterFunc(o.after, func() { stop(errors.New("time")) })
	}
}

func startChild() (int, error) {
	cmd := exec.Command(os.Args[0], "-stop", "never")
	cmd.Env = append(os.Environ(), "SHIPPER_LISTEN=")
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, nil
}

func serve(ctx context.Context, o options, stop context.CancelCauseFunc) (string, error) {
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	if o.stop == "http" {
		mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, "stopping")
			stop(errors.New("http"))
		})
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(l)
	context.AfterFunc(ctx, func() { srv.Close() })
	return l.Addr().String(), nil
}
