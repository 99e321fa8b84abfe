package store

import (
	"errors"
	"fmt"

	"golang.org/x/sys/windows"
)

// errDiskFull is what a full volume answers.
const errDiskFull = windows.ERROR_DISK_FULL

func isDiskFull(err error) bool {
	return errors.Is(err, errDiskFull) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// syncDir does nothing: NTFS journals names, and a folder cannot be flushed.
func syncDir(string) error { return nil }

// Free is the bytes the guard may still use on the volume of path.
func Free(path string) (int64, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", path, err)
	}
	return int64(free), nil
}
