package shelf

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
)

// folder is a local folder, or one that is mounted.
type folder struct{ packaging.Folder }

// Put copies under another name first; the link to the right one fails where
// somebody else was faster.
func (f folder) Put(_ context.Context, b *packaging.Bundle, path string) error {
	dir := string(f.Folder)
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = place(path, dir, packaging.FileName(b.Manifest.Name, b.Release()))
	}
	if err != nil {
		return problem.Wrap(problem.Failed, err, "write bundle into "+dir, "")
	}
	return nil
}

func place(from, dir, name string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	tmp, err := os.CreateTemp(dir, ".bundle-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = io.Copy(tmp, in)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	err = os.Link(tmp.Name(), filepath.Join(dir, name))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
