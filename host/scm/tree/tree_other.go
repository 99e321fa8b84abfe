//go:build !windows

package tree

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// busyPatience is how long a program is waited for that somebody still writes:
// who wrote it has closed it, but for the copy of the descriptor that another
// child has until it executes its own program.
const busyPatience = 10 * time.Second

// held: the process group's number is the program's own.
type held struct{}

func (t *Tree) start() error {
	if t.cmd.SysProcAttr == nil {
		t.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	t.cmd.SysProcAttr.Setpgid = true
	dieWithParent(t.cmd.SysProcAttr)
	err := t.cmd.Start()
	for until := time.Now().Add(busyPatience); errors.Is(err, syscall.ETXTBSY) && t.cmd.Stdin == nil && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
		c := t.cmd // which starts once only
		t.cmd = &exec.Cmd{Path: c.Path, Args: c.Args, Env: c.Env, Dir: c.Dir, Stdout: c.Stdout, Stderr: c.Stderr, SysProcAttr: c.SysProcAttr}
		err = t.cmd.Start()
	}
	return err
}

func (held) signal(pid int, s Signal) error {
	if s == CtrlC {
		return syscall.Kill(pid, syscall.SIGINT)
	}
	return syscall.Kill(pid, syscall.SIGTERM)
}

// kill counts the descendants first: one that left the group is lost from
// sight once its parent is gone.
func (held) kill(pid int) {
	table, _ := Snapshot()
	strays := table.Descendants(pid)
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	for _, p := range strays {
		_ = syscall.Kill(p, syscall.SIGKILL)
	}
}

// end clears what the program left in its group.
func (held) end(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

func exitCode(s *os.ProcessState) uint32 {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + uint32(ws.Signal())
	}
	return uint32(s.ExitCode())
}
