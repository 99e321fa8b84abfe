package packaging

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
)

// configNames are where GoReleaser itself looks, in its order.
var configNames = []string{
	".config/goreleaser.yml", ".config/goreleaser.yaml",
	".goreleaser.yml", ".goreleaser.yaml", "goreleaser.yml", "goreleaser.yaml",
}

// Choose picks the builder for the module in dir: prebuilt executables where
// they are configured, GoReleaser where there is a configuration and a
// GoReleaser that serves, else plain go build. why says so in one sentence.
func Choose(ctx context.Context, dir string, b config.Build) (builder Builder, why string, err error) {
	if b.Prebuilt != "" {
		return prebuilt{dir: inside(dir, b.Prebuilt)}, "executables from " + b.Prebuilt, nil
	}
	if b.Goreleaser == "none" {
		return native{}, "go build, as build.goreleaser: none asks", nil
	}
	path, err := goreleaserConfig(dir, b.Goreleaser)
	if err != nil {
		return nil, "", err
	}
	if path == "" {
		return native{}, "go build: no .goreleaser.yaml", nil
	}
	t, found, why, err := findTool(ctx, dir, b.Tool)
	if err != nil {
		return nil, "", err
	}
	if !found {
		return native{}, "go build instead of " + filepath.Base(path) + ": " + why, nil
	}
	return goreleaser{config: path, tool: t}, "goreleaser (" + t.from + ") with " + filepath.Base(path), nil
}

func goreleaserConfig(dir, configured string) (string, error) {
	if configured != "" {
		path := inside(dir, configured)
		if _, err := os.Stat(path); err != nil {
			return "", problem.Wrap(problem.Usage, err, "read build.goreleaser", "correct the path, or write `goreleaser: none` for plain go build")
		}
		return path, nil
	}
	for _, name := range configNames {
		path := filepath.Join(dir, filepath.FromSlash(name))
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", problem.Wrap(problem.Usage, err, "look for "+name, "")
		}
	}
	return "", nil
}

// inside reads path as relative to dir.
func inside(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, filepath.FromSlash(path))
}
