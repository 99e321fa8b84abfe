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
)

//go:embed orders/*.go orders.mod orders.sum
var source embed.FS

// Orders writes the module of the orders service into dir: its sources
// without tests, go.mod and go.sum.
func Orders(dir string) error {
	files, err := fs.Glob(source, "orders/*.go")
	if err != nil {
		return fmt.Errorf("list sources: %w", err)
	}
	to := map[string]string{"orders.mod": "go.mod", "orders.sum": "go.sum"}
	for _, f := range files {
		if !strings.HasSuffix(f, "_test.go") {
			to[f] = filepath.Base(f)
		}
	}
	for from, name := range to {
		data, err := source.ReadFile(from)
		if err != nil {
			return fmt.Errorf("read %s: %w", from, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return fmt.Errorf("write source: %w", err)
		}
	}
	return nil
}
