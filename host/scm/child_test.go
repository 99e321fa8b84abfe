package scm_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/host/scm"
)

// childArg makes this test's executable the service under test.
const childArg = "-scm-test-child"

func TestMain(m *testing.M) {
	prepare()
	if len(os.Args) > 2 && os.Args[1] == childArg {
		child(os.Args[2], os.Args[3:])
		return
	}
	if len(os.Args) > 1 && os.Args[1] == scm.LaunchArg {
		exit, _ := scm.Launch(os.Args[2:])
		os.Exit(int(exit))
	}
	os.Exit(m.Run())
}

func child(mode string, args []string) {
	if mode == "call-and-stay" { // no service, a descendant of one
		l := listen()
		report(args[0], port(l))
		for {
			l.Accept() // also keeps the listener from being collected
		}
	}
	body, ok := bodies[mode]
	if !ok {
		os.Exit(99)
	}
	if strings.HasPrefix(mode, "deaf") {
		signal.Ignore() // all that can be
	}
	err := scm.RunService("test", func(ctx context.Context, ready func()) error { return body(ctx, ready, args) })
	os.Exit(int(scm.ExitCode(err)))
}

var bodies = map[string]func(ctx context.Context, ready func(), args []string) error{
	"serve": func(ctx context.Context, ready func(), _ []string) error {
		ready()
		<-ctx.Done()
		return nil
	},
	"never-ready": func(ctx context.Context, _ func(), _ []string) error {
		<-ctx.Done()
		return nil
	},
	"slow-stop": func(ctx context.Context, ready func(), args []string) error {
		c := dial(args[0])
		ready()
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), scm.ErrStop) {
			return context.Cause(ctx)
		}
		c.Read(make([]byte, 1)) // until the test hangs up
		return nil
	},
	"panic-when-called": func(_ context.Context, ready func(), args []string) error {
		ready()
		dial(args[0]).Read(make([]byte, 1)) // until the test hangs up
		panic("boom")
	},
	"tell": func(ctx context.Context, ready func(), args []string) error {
		seen := []string{os.Getenv("SHIPPER_TEST"), os.Getenv("PORT"), args[1], "end"}
		if err := os.WriteFile(args[0], []byte(strings.Join(seen, "\n")), 0o600); err != nil {
			return err
		}
		ready()
		<-ctx.Done()
		return nil
	},
	"fail": func(_ context.Context, _ func(), args []string) error {
		return failure(args[0])
	},
	"fail-when-called": func(_ context.Context, ready func(), args []string) error {
		ready()
		c := dial(args[0])
		c.Read(make([]byte, 1)) // until the test hangs up
		return failure(args[1])
	},
	"deaf-with-child": func(_ context.Context, ready func(), args []string) error {
		spawn("call-and-stay", args[0])
		ready()
		select {}
	},
	"listen-with-child": func(ctx context.Context, ready func(), args []string) error {
		own := listen()
		defer own.Close()
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		spawn("call-and-stay", l.Addr().String())
		c, err := l.Accept()
		if err != nil {
			return err
		}
		theirs := make([]byte, 5)
		c.Read(theirs)
		test := dial(args[0])
		fmt.Fprintf(test, "%05d%s", port(own), theirs)
		ready()
		<-ctx.Done()
		return nil
	},
}

func failure(code string) error {
	n, err := strconv.ParseUint(code, 10, 32)
	if err != nil {
		return err
	}
	return &scm.ExitError{Code: uint32(n)}
}

func dial(addr string) net.Conn {
	c, err := net.Dial("tcp4", addr)
	if err != nil {
		os.Exit(98)
	}
	return c
}

// report keeps the connection open: it breaks when the process dies.
func report(addr string, n int) { fmt.Fprintf(dial(addr), "%05d", n) }

func listen() net.Listener {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		os.Exit(97)
	}
	return l
}

func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func spawn(args ...string) {
	exe, err := os.Executable()
	if err == nil {
		err = exec.Command(exe, append([]string{childArg}, args...)...).Start()
	}
	if err != nil {
		os.Exit(96)
	}
}
