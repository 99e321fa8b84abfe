package main

import (
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"

	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/problem"
)

// systemManager is the service manager of the host.
func systemManager() (*scm.Windows, error) {
	m, err := scm.NewWindows()
	if errors.Is(err, scm.ErrDenied) {
		return nil, problem.Wrap(problem.Failed, err, "use the service manager", "run this as an administrator")
	}
	return m, err
}

func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP}
}

// account is whose rights we have: DOMAIN\name.
func account() string {
	b := make([]uint16, 512)
	n := uint32(len(b))
	if err := windows.GetUserNameEx(windows.NameSamCompatible, &b[0], &n); err != nil {
		return "somebody"
	}
	return windows.UTF16ToString(b[:n])
}
