package local

import (
	"fmt"
	"io"
	"os/exec"
	"time"
)

// input connects stdin with a command; feed brings it there. The command does
// not wait for the end of an input that it does not need.
func input(cmd *exec.Cmd, stdin io.Reader) (feed func() error, err error) {
	if stdin == nil {
		return func() error { return nil }, nil
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return func() error {
		defer in.Close()
		r := &reading{from: stdin}
		_, _ = io.Copy(in, r) // a command need not take all of it
		return r.err
	}, nil
}

// reading keeps why an input ended.
type reading struct {
	from io.Reader
	err  error
}

func (r *reading) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	if err != nil && err != io.EOF { //nolint:errorlint // readers give io.EOF itself
		r.err = fmt.Errorf("read input of the command: %w", err)
	}
	return n, err
}

func awaitFor(done <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}
