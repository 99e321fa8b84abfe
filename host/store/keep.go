package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/release"
)

// Releases lists what is installed for a service, in the order of the folders.
func (s *Store) Releases(service string) ([]Manifest, error) {
	entries, err := os.ReadDir(s.releases(service))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list releases of %s: %w", service, err)
	}
	var out []Manifest
	for _, e := range entries {
		m, err := readManifest(filepath.Join(s.releases(service), e.Name()))
		if err == nil && m.Release.Dir() == e.Name() {
			out = append(out, m)
		}
	}
	return out, nil
}

// Remove deletes an installed release and returns the bytes it held.
func (s *Store) Remove(service string, r release.Release) (int64, error) {
	dir := s.Path(service, r)
	m, err := s.manifest(service, r)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	// Without its manifest it is no release any more, whatever happens next.
	if err := os.Remove(filepath.Join(dir, manifestName)); err != nil {
		return 0, fmt.Errorf("remove release %s: %w", r, err)
	}
	var bytes int64
	for _, f := range m.Files {
		bytes += f.Size
		s.distrust(f.SHA256, filepath.Join(dir, filepath.FromSlash(f.Path)))
	}
	if err := acl.RemoveAll(dir); err != nil {
		return 0, fmt.Errorf("remove release %s: %w", r, err)
	}
	return bytes, nil
}

// RemoveService deletes all releases of a service.
func (s *Store) RemoveService(service string) error {
	installed, err := s.Releases(service)
	if err != nil {
		return err
	}
	for _, m := range installed {
		if _, err := s.Remove(service, m.Release); err != nil {
			return err
		}
	}
	return acl.RemoveAll(filepath.Dir(s.releases(service)))
}

// PruneStaging removes contents and pieces that nobody touched since before.
func (s *Store) PruneStaging(before time.Time) error {
	entries, err := os.ReadDir(s.staging())
	if err != nil {
		return fmt.Errorf("prune staging folder: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.ModTime().Before(before) {
			err = acl.RemoveAll(filepath.Join(s.staging(), e.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("prune staging folder: %w", err)
		}
	}
	return nil
}

// unfinished tells folders of installs, NAME.tmp123 and NAME.tmp123.old; a
// release's name ends in a digest.
func unfinished(name string) bool {
	i := strings.LastIndex(name, ".tmp")
	if i < 0 {
		return false
	}
	digits := strings.TrimSuffix(name[i+len(".tmp"):], ".old")
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}

// sweep removes folders of installs that were interrupted, and of removals. On
// Windows a program that still runs keeps its file: what is left of such a
// folder can never start and goes another time.
func (s *Store) sweep(service string) error {
	entries, err := os.ReadDir(s.releases(service))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("list releases of %s: %w", service, err)
	}
	for _, e := range entries {
		dir := filepath.Join(s.releases(service), e.Name())
		_, err := os.Lstat(filepath.Join(dir, manifestName))
		if unfinished(e.Name()) || errors.Is(err, os.ErrNotExist) {
			_ = acl.RemoveAll(dir)
		}
	}
	return nil
}

// syncTree flushes the folders below dir; their files are flushed already.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncDir(path)
	})
}
