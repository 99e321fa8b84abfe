package recovery

import (
	"errors"
	"time"

	"golang.org/x/sys/windows"
)

// replace moves a file over another, on the disk before it returns. Scanners
// and backups that hold a file for a moment are waited for.
func replace(from, to string) error {
	source, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	target, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	for wait := 5 * time.Millisecond; ; wait *= 2 {
		err = windows.MoveFileEx(source, target, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
		held := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !held || wait > time.Second {
			return err
		}
		time.Sleep(wait)
	}
}
