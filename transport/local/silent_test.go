//go:build !windows

package local_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/local"
)

// patience is for a busy machine: what would never end is told from what does.
const patience = time.Minute

func dial(t *testing.T) transport.Conn {
	t.Helper()
	c, err := local.Dial(t.Context(), local.Config{Host: "web1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// never is an input that has no end, until the test has one.
func never(t *testing.T) io.Reader {
	r, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	return r
}

func ends(t *testing.T, what string, call func() error) (err error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err = <-done:
	case <-time.After(patience):
		t.Fatal(what + " does not end")
	}
	return err
}

// The ways in which a program can be silent. Each says a word first, where it
// can.
var silent = map[string]string{
	"mute":                      "echo x; exec sleep 1000",
	"deaf":                      "echo x; exec sleep 1000 </dev/null",
	"stopped":                   "echo x; kill -STOP $$; sleep 1000",
	"deaf to signals":           "trap '' TERM INT HUP; echo x; sleep 1000; sleep 1000",
	"with a child":              "echo x; sleep 1000",
	"with a child that escapes": "echo x; setsid sleep 20 & sleep 1000",
}

// await returns when there is the file.
func await(t *testing.T, file string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for {
		if _, err := os.Stat(file); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the command does not start")
		}
	}
}

// heard returns when the pipe's program lives.
func heard(t *testing.T, p transport.Pipe) {
	t.Helper()
	if _, err := io.ReadFull(p, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// However a program is silent: a command ends with its context, and with the
// connection.
func TestCommandOfASilentProgramEnds(t *testing.T) {
	for how, line := range silent {
		for _, by := range []string{"context", "close"} {
			t.Run(how+", "+by, func(t *testing.T) {
				t.Parallel()
				c := dial(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				file := filepath.Join(t.TempDir(), "alive")
				done := make(chan error, 1)
				go func() {
					_, err := c.Run(ctx, ": > "+file+"; "+line, never(t))
					done <- err
				}()
				await(t, file)
				why := errors.New("changed my mind")
				if by == "context" {
					cancel(why)
				} else if err := ends(t, "close", c.Close); err != nil {
					t.Error(err)
				}
				err := ends(t, "the command", func() error { return <-done })
				var e *transport.Error
				if !errors.As(err, &e) || by == "context" && !errors.Is(err, why) {
					t.Errorf("error %v", err)
				}
				cancel(nil)
			})
		}
	}
}

// What waits for a silent program's pipe ends with the pipe.
func TestPipeOfASilentProgramEnds(t *testing.T) {
	calls := map[string]func(transport.Pipe) error{
		"receive": func(p transport.Pipe) error {
			_, err := io.ReadAll(p)
			return err
		},
		"send": func(p transport.Pipe) (err error) {
			for err == nil { // what the system keeps is no failure yet
				_, err = p.Write(make([]byte, p.MaxWrite()))
			}
			return err
		},
	}
	for how, line := range silent {
		for name, call := range calls {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				c := dial(t)
				p, err := c.Pipe(t.Context(), line)
				if err != nil {
					t.Fatal(err)
				}
				heard(t, p)
				done := make(chan error, 1)
				go func() { done <- call(p) }()
				if err := ends(t, "close", p.Close); err != nil {
					t.Error(err)
				}
				if err := ends(t, name, func() error { return <-done }); err == nil {
					t.Error("no error")
				}
				if err := ends(t, "close of the connection", c.Close); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A program that is not there is an exit code, as everywhere.
func TestAbsentProgram(t *testing.T) {
	c := dial(t)
	r, err := c.Run(t.Context(), "./there-is-no-such-program", nil)
	if err != nil || r.Exit != 127 {
		t.Errorf("%+v, %v", r, err)
	}
	p, err := c.Pipe(t.Context(), "./there-is-no-such-program")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var exited *transport.Exited
	if _, err := io.ReadAll(p); !errors.As(err, &exited) || exited.Code != 127 {
		t.Errorf("read: %v", err)
	}
}

// A program that left somebody behind with its output has ended all the same.
func TestOutputThatOutlivesItsProgram(t *testing.T) {
	t.Parallel()
	c := dial(t)
	var r transport.Result
	err := ends(t, "the command", func() (err error) {
		r, err = c.Run(t.Context(), "setsid sleep 20 & echo said", nil)
		return err
	})
	if err != nil || r.Exit != 0 || strings.TrimSpace(string(r.Stdout)) != "said" {
		t.Errorf("%+v, %v", r, err)
	}
}
