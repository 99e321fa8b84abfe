// Package exec asks a program on the controller: what it prints is the value,
// or, if it prints nothing, its exit code.
package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/go-shipper/shipper/rollout/analysis"
)

// maxOutput bounds what is read of a program, in bytes.
const maxOutput = 64 << 10

// Source measures by one command.
type Source struct {
	Command []string
	Env     map[string]string // beside this process's own; may hold secrets
	Timeout time.Duration
}

// Measure runs the program once. One that prints and then fails has failed to
// measure.
func (s *Source) Measure(ctx context.Context) (analysis.Value, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.Command[0], s.Command[1:]...)
	cmd.Env = os.Environ()
	for name, value := range s.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var out, complaint bounded
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &complaint, time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return analysis.Value{}, fmt.Errorf("run %s: no end within %s", s.Command[0], s.Timeout)
	case err != nil && !errors.As(err, &exit):
		return analysis.Value{}, fmt.Errorf("run %s: %w", s.Command[0], err)
	case out.last() == "" && cmd.ProcessState.ExitCode() >= 0: // not killed
		return analysis.Value{Number: float64(cmd.ProcessState.ExitCode())}, nil
	case err != nil:
		return analysis.Value{}, fmt.Errorf("run %s: %w: %s", s.Command[0], err, complaint.last())
	}
	return analysis.ValueOf(out.last())
}

// bounded keeps the end of what is written.
type bounded struct{ buf bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.buf.Write(p)
	if extra := b.buf.Len() - maxOutput; extra > 0 {
		b.buf.Next(extra)
	}
	return len(p), nil
}

// last is the last line that is not empty, shortened.
func (b *bounded) last() string {
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(b.buf.String(), "")), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	return last[:min(len(last), 200)]
}
