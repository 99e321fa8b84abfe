package packaging

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
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

// What only GoReleaser makes, because its configuration sets flags that the
// recipe does not know, is built again by it.
func TestRebuildByGoReleaser(t *testing.T) {
	tool := realTool(t)
	flags := strings.Replace(goreleaserConfigSource, "ldflags:", "gcflags: [all=-l]\n    ldflags:", 1)
	if flags == goreleaserConfigSource {
		t.Fatal("the configuration has no ldflags")
	}
	dir := newRepo(t, map[string]string{".goreleaser.yaml": flags})
	git(t, dir, "tag", "v1.0.0")
	_, native, _ := packBy(t, dir, config.Build{Goreleaser: "none"})
	bundle, made, by := packBy(t, dir, config.Build{Tool: tool})
	if by != "goreleaser" || Release(made) == Release(native) {
		t.Fatalf("built by %s, the same as go build: %v", by, Release(made) == Release(native))
	}
	rebuilt := func(bundle string) error {
		_, err := Rebuild(t.Context(), RebuildRequest{Bundle: bundle, Source: dir, Tool: tool, Log: func(line string) { t.Log(line) }})
		return err
	}
	if err := rebuilt(bundle); err != nil {
		t.Error(err)
	}
	write(t, filepath.Join(dir, "main.go"), strings.Replace(mainSource, `"dev"`, `"evil"`, 1))
	git(t, dir, "commit", "-qam", "another program")
	git(t, dir, "tag", "-f", "v1.0.0")
	evil, _, _ := packBy(t, dir, config.Build{Tool: tool})
	git(t, dir, "reset", "-q", "--hard", "HEAD^")
	git(t, dir, "tag", "-f", "v1.0.0")
	commit := made.Commit
	forged := reseal(t, evil, func(texts map[string][]byte) {
		var m Manifest
		if err := json.Unmarshal(texts[manifestName], &m); err != nil {
			t.Fatal(err)
		}
		texts[manifestName] = bytes.ReplaceAll(texts[manifestName], []byte(m.Commit), []byte(commit))
	})
	if err := rebuilt(forged); problem.KindOf(err) != problem.Verification || !strings.Contains(err.Error(), "does not give this bundle") {
		t.Errorf("of another program: %v", err)
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
