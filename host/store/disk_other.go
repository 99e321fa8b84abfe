//go:build !windows

package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// errDiskFull is what a full volume answers.
const errDiskFull = syscall.ENOSPC

func isDiskFull(err error) bool {
	return errors.Is(err, errDiskFull) || errors.Is(err, syscall.EDQUOT)
}

// syncDir makes new names in dir survive a power cut.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Free is the bytes the guard may still use on the volume of path.
func Free(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", path, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
