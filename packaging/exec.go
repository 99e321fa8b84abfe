package packaging

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// patience is how long a tool that was interrupted may take to end.
const patience = 5 * time.Second

// command prepares a tool in dir. When ctx ends it is interrupted first, so
// that it can remove its temporary files.
func command(ctx context.Context, dir string, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if env != nil {
		cmd.Env = append(os.Environ(), env...)
	}
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return cmd.Process.Kill()
		}
		return nil
	}
	cmd.WaitDelay = patience
	return cmd
}

// capture returns what a short command prints, trimmed; its error holds the
// first line of what it complained.
func capture(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := command(ctx, dir, env, name, args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		line, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n")
		if line == "" {
			return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
		}
		return "", fmt.Errorf("%s: %s (%w)", name, line, err)
	}
	return strings.TrimSpace(out.String()), nil
}

// run executes a builder, hands each line it prints to log, and keeps the
// last ones for the error.
func run(ctx context.Context, log func(string), dir string, env []string, name string, args ...string) error {
	cmd := command(ctx, dir, env, name, args...)
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return err
	}
	tail := make(chan string, 1)
	go func() { tail <- follow(r, log) }()
	err := cmd.Wait()
	w.Close()
	last := <-tail
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && last != "":
		return fmt.Errorf("%w\n%s", err, last)
	}
	return err
}

const tailLines = 15

func follow(r io.Reader, log func(string)) string {
	var last []string
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		if text := strings.TrimRight(string(line), "\r\n"); text != "" {
			last = append(last, text)
			last = last[max(0, len(last)-tailLines):]
			if log != nil {
				log(text)
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return strings.Join(last, "\n")
		}
	}
}

func parseUnix(s string) (time.Time, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("commit time %q: %w", s, err)
	}
	return time.Unix(n, 0).UTC(), nil
}
