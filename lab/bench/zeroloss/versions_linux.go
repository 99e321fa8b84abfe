package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// versions are shippers, each newer than the one before and with another
// helper inside: what a user has who upgrades.
type versions struct {
	dir   string // a clone
	built int
}

// next builds one from a tagged commit of its own.
func (v *versions) next(ctx context.Context) (string, error) {
	if v.built == 0 {
		top, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
		if err != nil {
			return "", fmt.Errorf("find the module: %w", err)
		}
		if err := v.run(ctx, "", "git", "clone", "-q", strings.TrimSpace(string(top)), v.dir); err != nil {
			return "", err
		}
	}
	v.built++
	source := fmt.Sprintf("package main\n\nimport \"os\"\n\nfunc init() { os.Setenv(\"SHIPPER_BUILD\", \"%d\") }\n", v.built)
	if err := os.WriteFile(filepath.Join(v.dir, "cmd", "shipper-host", "build.go"), []byte(source), 0o644); err != nil {
		return "", err
	}
	program := fmt.Sprintf("%s-shipper-%d", v.dir, v.built) // inside it would make the tree differ from its commit
	tag := fmt.Sprintf("v0.999.%d", v.built)
	for _, args := range [][]string{
		{"git", "add", "cmd"},
		{"git", "-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "commit.gpgsign=false", "commit", "-q", "-m", tag},
		{"git", "-c", "tag.gpgsign=false", "tag", tag},
		{"go", "run", "./host/helper/pack"},
		{"go", "build", "-buildvcs=true", "-trimpath", "-o", program, "./cmd/shipper"},
	} {
		if err := v.run(ctx, v.dir, args...); err != nil {
			return "", err
		}
	}
	return program, nil
}

func (v *versions) run(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
