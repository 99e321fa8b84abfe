//go:build !windows

package local

import (
	"os/exec"
	"syscall"
)

// tree is a command with all its descendants: a process group.
type tree struct{ pid int }

func shell(line string) *exec.Cmd { return exec.Command("sh", "-c", line) }

func startTree(cmd *exec.Cmd) (*tree, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &tree{pid: cmd.Process.Pid}, nil
}

// kill may come after the leader was reaped: the group lives on as long as
// a member does, and its number is not given to another process before.
func (t *tree) kill() { _ = syscall.Kill(-t.pid, syscall.SIGKILL) }

func (t *tree) release() {}
