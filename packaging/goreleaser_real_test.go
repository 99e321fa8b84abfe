package packaging

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
)

// realTool builds the pinned GoReleaser, which takes minutes when the build
// cache is cold.
func realTool(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds GoReleaser")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	path, err := tool{module: filepath.Join(root, "tools.mod")}.executable(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Whichever builder a machine has, the release is the same.
func TestNativeEqualsGoReleaser(t *testing.T) {
	tool := realTool(t)
	states := map[string]func(dir string){
		"tagged":     func(dir string) { git(t, dir, "tag", "v1.4.0") },
		"no tag":     func(string) {},
		"dirty":      func(dir string) { write(t, filepath.Join(dir, "main.go"), mainSource+"\n// changed\n") },
		"has origin": func(dir string) { git(t, dir, "remote", "add", "origin", "https://example.test/a/b.git") },
	}
	for name, prepare := range states {
		t.Run(name, func(t *testing.T) {
			dir := newRepo(t, map[string]string{".goreleaser.yaml": goreleaserConfigSource})
			prepare(dir)
			first, native, by := packBy(t, dir, config.Build{Goreleaser: "none"})
			second, made, other := packBy(t, dir, config.Build{Tool: tool})
			if by != "native" || other != "goreleaser" {
				t.Fatalf("built by %s and %s", by, other)
			}
			if Release(made) != Release(native) || made.Commit != native.Commit {
				t.Errorf("goreleaser made %s %v, go build %s %v", Release(made), executables(made), Release(native), executables(native))
			}
			if !bytes.Equal(read(t, first), read(t, second)) {
				t.Error("the releases are the same, the bundles are not")
			}
		})
	}
}

// Where there is none on PATH, the one that the module pins is used.
func TestToolsModuleServes(t *testing.T) {
	realTool(t)
	mod, sum := read(t, "../tools.mod"), read(t, "../tools.sum")
	dir := newRepo(t, map[string]string{".goreleaser.yaml": goreleaserConfigSource, "tools.mod": string(mod), "tools.sum": string(sum)})
	withoutGoreleaser(t)
	builder, why, err := Choose(context.Background(), dir, config.Build{})
	if err != nil || builder.Name() != "goreleaser" || !strings.Contains(why, "tools.mod") {
		t.Fatalf("chose %v (%s): %v", builder, why, err)
	}
	if _, _, by := packBy(t, dir, config.Build{Targets: []string{"windows/amd64"}}); by != "goreleaser" {
		t.Errorf("built by %s", by)
	}
}

// withoutGoreleaser leaves go and git on PATH, and nothing else.
func withoutGoreleaser(t *testing.T) {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"go", "git"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("no %s: %v", name, err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Skipf("no symbolic links: %v", err)
		}
	}
	t.Setenv("PATH", bin)
}
