// Package tree runs a program so that it and all it started end together:
// in a kill-on-close job object on Windows, in a process group elsewhere.
package tree

import (
	"fmt"
	"os/exec"
	"runtime"
	"sync"
)

// Signal asks a program to stop the way a person at its console would.
type Signal int

// Signals. Elsewhere than on Windows SIGTERM stands for ctrl-break and SIGINT
// for ctrl-c.
const (
	CtrlBreak Signal = iota
	CtrlC
)

// Tree is a running program and its descendants. Safe for concurrent use.
type Tree struct {
	cmd  *exec.Cmd
	held held // what the system needs to end the whole tree

	done chan struct{}
	exit uint32
	kill sync.Mutex
}

// Start starts cmd suspended, ties it to its tree and lets it run, in a
// console of its own on Windows. Stdout and Stderr must be files or nil:
// Done is closed when the program itself ended, whoever still holds its
// output; what it left running is killed before that.
func Start(cmd *exec.Cmd) (*Tree, error) {
	t := &Tree{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go t.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return t, nil
}

// run stays on one thread as long as the program lives: the parent-death
// signal of Linux counts from the thread that forked, not from the process.
func (t *Tree) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := t.start(); err != nil {
		started <- err
		return
	}
	started <- nil
	t.cmd.Wait() // the outcome is read from ProcessState
	t.exit = exitCode(t.cmd.ProcessState)
	t.kill.Lock()
	t.held.end(t.PID())
	t.kill.Unlock()
	close(t.done)
}

// PID is the program's own.
func (t *Tree) PID() int { return t.cmd.Process.Pid }

// Done is closed when the program has ended and its descendants were killed.
func (t *Tree) Done() <-chan struct{} { return t.done }

// Exit is the program's exit code, valid once Done is closed: 128 + the
// signal's number if a signal ended it.
func (t *Tree) Exit() uint32 { return t.exit }

// Signal asks the program to stop. An error says that it could not be asked,
// as always on Wine.
func (t *Tree) Signal(s Signal) error {
	select {
	case <-t.done:
		return nil
	default:
		return t.held.signal(t.PID(), s)
	}
}

// Kill ends the whole tree at once.
func (t *Tree) Kill() {
	t.kill.Lock()
	defer t.kill.Unlock()
	select {
	case <-t.done:
	default:
		t.held.kill(t.PID())
	}
}
