//go:build !windows

package recovery

import (
	"errors"
	"os"
	"path/filepath"
)

// replace moves a file over another, on the disk before it returns.
func replace(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
