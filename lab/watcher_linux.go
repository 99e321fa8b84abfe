package lab

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
)

// watcher is a process that outlives its starter just long enough to end the
// starter's lab. It waits for the end of its stdin, which only the starter
// holds open.
type watcher struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

func startWatcher(dir string, program []string) (*watcher, error) {
	cmd := daemonCommand(program, dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the lab's watcher: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the lab's watcher: %w", err)
	}
	return &watcher{cmd, stdin}, nil
}

// dismiss ends the watcher of a lab that has ended.
func (w *watcher) dismiss() {
	_ = w.stdin.Close() // it may be gone already
	_ = w.cmd.Wait()
}

// watch is the watcher's own life. A later lab of the same name is not its.
func watch(ctx context.Context, dir string, stdin io.Reader) error {
	base, name := filepath.Dir(filepath.Dir(dir)), filepath.Base(dir)
	mine, err := load(base, name)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, stdin); err != nil {
		return err
	}
	l, err := load(base, name)
	if err != nil || !l.state.Created.Equal(mine.state.Created) {
		return nil
	}
	return l.Down(ctx)
}
