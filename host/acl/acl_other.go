//go:build !windows

package acl

import (
	"fmt"
	"os"
	"syscall"
)

func ensureRoot(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	if err := check(path, nil); err != nil {
		return err
	}
	return os.Chmod(path, 0o700)
}

func check(path string, _ []string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSymlink != 0 {
		return fmt.Errorf("it is a symbolic link: %w", ErrForeign)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to user %d: %w", st.Uid, ErrForeign)
	}
	return nil
}

func grant(path, _ string, _ Access) error {
	_, err := os.Lstat(path)
	return err
}

func createProtected(path, _ string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

func replace(from, to string) error { return os.Rename(from, to) }

func removeAll(path string) error { return os.RemoveAll(path) }
