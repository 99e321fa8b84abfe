package packaging

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// Store is a shelf that takes bundles.
type Store interface {
	Shelf
	// Put adds the verified bundle at path under its FileName. A file of that
	// name that is there already stays as it is, and is no error.
	Put(ctx context.Context, b *Bundle, path string) error
}

// Push brings the bundle at path to a shelf and reads it back. What lies there
// is never replaced: the same release is left as it is (already), and other
// contents under the same version are refused.
func Push(ctx context.Context, s Store, path string) (l Listed, already bool, err error) {
	b, err := Open(path)
	if err != nil {
		return l, false, err
	}
	defer b.Close()
	r := b.Release()
	l = Listed{Name: FileName(b.Manifest.Name, r), Version: r.Version, Short: r.Digest.Short()}
	all, err := s.List(ctx, b.Manifest.Name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a folder that the first push makes
		return l, false, err
	}
	for _, there := range all {
		switch {
		case there.Version != l.Version:
		case there.Short == l.Short:
			already = true
		default:
			return l, false, problem.New(problem.Verification, "give the new contents a version of their own",
				"push %s: %s is there already, with other contents under the same version", filepath.Base(path), there.Name)
		}
	}
	if !already {
		if err := s.Put(ctx, b, path); err != nil {
			return l, false, err
		}
	}
	return l, already, confirm(ctx, s, l, r)
}

// confirm reads back what is on the shelf: a push is done when anyone can
// fetch the very release from there.
func confirm(ctx context.Context, s Store, l Listed, want release.Release) error {
	b, err := s.Open(ctx, l)
	if err != nil {
		return err
	}
	defer b.Close()
	if got := b.Release(); got != want {
		return problem.New(problem.Verification, "remove it there; nothing was replaced", "push %s: what is there holds %s", l.Name, got)
	}
	return nil
}
