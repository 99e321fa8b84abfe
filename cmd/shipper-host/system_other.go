//go:build !windows

package main

import (
	"errors"
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

// takeLock holds the file until it is closed, or we die.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errOther
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// account is whose rights we have.
func account() string { return fmt.Sprintf("user %d", os.Getuid()) }
