package lab

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// clonePrefix makes a host's prefix from the template. Wine's own programs,
// which nobody changes, are linked and made read-only; the rest is copied.
func clonePrefix(template, dir string) error {
	from, to := filepath.Join(template, "prefix"), filepath.Join(dir, "prefix")
	if err := os.MkdirAll(filepath.Join(dir, "home"), 0o700); err != nil {
		return err
	}
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return cloneEntry(path, filepath.Join(to, relative), d)
	})
	if err != nil {
		return fmt.Errorf("copy the template: %w", err)
	}
	return nil
}

func cloneEntry(from, to string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	switch {
	case d.IsDir():
		return os.Mkdir(to, info.Mode().Perm())
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case linkable(from, info):
		if err := os.Chmod(from, 0o555); err != nil {
			return err
		}
		if os.Link(from, to) == nil {
			return nil
		}
	}
	return copyFile(from, to, info)
}

// linkable are large files below C:\windows, the ones put there by us excepted.
func linkable(path string, info fs.FileInfo) bool {
	return info.Size() > 32<<10 && strings.Contains(path, "/drive_c/windows/") && !strings.HasSuffix(path, ".reg")
}

func copyFile(from, to string, info fs.FileInfo) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close(), os.Chtimes(to, info.ModTime(), info.ModTime()))
}
