//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/transport"
)

// fill puts a disk that is nearly full below the folder's staging, where
// contents arrive. Only root can.
func fill(programs string) (empty func(), err error) {
	staging := filepath.Join(programs, "staging")
	if err := os.MkdirAll(staging, 0o700); err != nil {
		return nil, err
	}
	if err := syscall.Mount("shipper-bench", staging, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		return nil, fmt.Errorf("mount a small disk, as root: %w", err)
	}
	return func() { _ = syscall.Unmount(staging, syscall.MNT_DETACH) }, nil
}

// says checks that the error tells what went wrong.
func (m mishap) says(err error) error {
	var t *transport.Error
	denied := errors.As(err, &t) && t.Kind == transport.Denied
	if m.wrong && !denied || m.full && rpc.CodeOf(err) != rpc.CodeDiskFull {
		return fmt.Errorf("the error does not say it: %w", err)
	}
	return nil
}
