//go:build !windows && !linux

package tree

import (
	"errors"
	"syscall"
)

// Without a parent-death signal the children end with their manager's Close only.
func dieWithParent(*syscall.SysProcAttr) {}

// Snapshot is not to be had here.
func Snapshot() (Table, error) {
	return nil, errors.New("list processes: not supported on this system")
}
