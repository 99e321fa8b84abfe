// Package examples hands out the source of the example service, so that the
// demo and the end-to-end tests can ship it from a repository of its own, as
// a user would.
package examples

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-shipper/shipper"
)

//go:embed orders/*.go orders.mod orders.sum kit.mod
var source embed.FS

// Orders writes the module of the orders service into dir: its sources
// without tests, go.mod and go.sum, and in kit/ the service kit that it uses.
func Orders(dir string) error {
	for from, to := range map[string]string{"orders.mod": "go.mod", "orders.sum": "go.sum", "kit.mod": "kit/go.mod"} {
		if err := write(source, from, filepath.Join(dir, filepath.FromSlash(to))); err != nil {
			return err
		}
	}
	if err := writeAll(source, "orders", dir); err != nil {
		return err
	}
	return writeAll(shipper.Kit, "service", filepath.Join(dir, "kit", "service"))
}

// writeAll writes the Go files below a folder, without tests.
func writeAll(from fs.FS, folder, to string) error {
	return fs.WalkDir(from, folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("list sources: %w", err)
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		return write(from, name, filepath.Join(to, filepath.FromSlash(strings.TrimPrefix(name, folder+"/"))))
	})
}

func write(from fs.FS, name, to string) error {
	data, err := fs.ReadFile(from, name)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("write source: %w", err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		return fmt.Errorf("write source: %w", err)
	}
	return nil
}
