package scm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func (s Spec) check() error {
	switch {
	case s.Name == "" || s.Name != filepath.Base(s.Name) || strings.ContainsAny(s.Name, `/\"$`) || len(s.Name) > 256:
		return fmt.Errorf("service name %q: want up to 256 characters without / \\ \" $", s.Name)
	case !filepath.IsAbs(s.Executable) || strings.ContainsRune(s.Executable, '"'):
		return fmt.Errorf("service %s: executable %q: want an absolute path without quotes", s.Name, s.Executable)
	case s.Start != Auto && s.Start != Manual && s.Start != Disabled:
		return fmt.Errorf("service %s: start type %q: want auto, manual or disabled", s.Name, s.Start)
	}
	return nil
}

func loadSpecs(dir string) ([]Spec, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list services: %w", err)
	}
	var specs []Spec
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read service: %w", err)
		}
		var s Spec
		if err := json.Unmarshal(b, &s); err != nil {
			return nil, fmt.Errorf("read service %s: %w", path, err)
		}
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("read service %s: %w", path, err)
		}
		specs = append(specs, s)
	}
	return specs, nil
}

// saveSpec is atomic: a power cut leaves the old definition or the new one.
func saveSpec(dir string, s Spec) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("save service %s: %w", s.Name, err)
	}
	f, err := os.CreateTemp(dir, s.Name+".tmp")
	if err != nil {
		return fmt.Errorf("save service %s: %w", s.Name, err)
	}
	defer os.Remove(f.Name()) // gone already if all went well
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("save service %s: %w", s.Name, err)
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, s.Name+".json")); err != nil {
		return fmt.Errorf("save service %s: %w", s.Name, err)
	}
	return nil
}

func dropSpec(dir, name string) error {
	if dir == "" {
		return nil
	}
	for _, ext := range []string{".json", ".log"} {
		err := os.Remove(filepath.Join(dir, name+ext))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delete service %s: %w", name, err)
		}
	}
	return nil
}
