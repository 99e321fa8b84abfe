// Package deltatest builds the executables by which deltas are judged: a
// service as large as services are, and its next versions.
package deltatest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Changes from the first version, by the files in which they differ.
const (
	First    = ""   // the version before
	Version  = "s0" // only its version is another
	OneLine  = "s1" // one more line of log, one more import, and another version
	pkg      = "github.com/go-shipper/shipper/delta/testdata/app"
	sources  = "delta/testdata"
	original = "app"
)

// Build compiles the service with a change for Windows, as releases are built.
// It needs this module's source around the working directory.
func Build(ctx context.Context, dir, change string) ([]byte, error) {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"}
	if change != First {
		overlay, err := overlay(ctx, dir, change)
		if err != nil {
			return nil, err
		}
		args = append(args, "-overlay", overlay)
	}
	exe := filepath.Join(dir, "app"+change+".exe")
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", exe, pkg)...)
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w: %s", pkg, err, out)
	}
	return os.ReadFile(exe)
}

// overlay tells the compiler which files of the service a change replaces.
func overlay(ctx context.Context, dir, change string) (string, error) {
	module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	root := filepath.Join(strings.TrimSpace(string(module)), sources)
	replace := map[string]string{}
	for _, name := range []string{"version.go", "store/store.go"} {
		changed := filepath.Join(root, change, name)
		if _, err := os.Stat(changed); err == nil {
			replace[filepath.Join(root, original, name)] = changed
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, change+".json")
	return path, os.WriteFile(path, b, 0o600)
}
