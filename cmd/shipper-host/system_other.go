//go:build !windows

package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/problem"
)

// systemManager: only Windows hosts are managed as they are.
func systemManager() (*scm.Processes, error) {
	return nil, problem.New(problem.Usage, "give a folder with --root", "this is no Windows host")
}

func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// account is whose rights we have.
func account() string { return fmt.Sprintf("user %d", os.Getuid()) }
