package packaging

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
)

func rebuildOf(t *testing.T, bundle, source string) error {
	t.Helper()
	_, err := Rebuild(t.Context(), RebuildRequest{Bundle: bundle, Source: source, Log: func(line string) { t.Log(line) }})
	return err
}

// reseal changes a bundle as somebody would who wants it to look whole.
func reseal(t *testing.T, bundle string, change func(texts map[string][]byte)) string {
	t.Helper()
	names, texts := entriesOf(t, read(t, bundle))
	change(texts)
	path := filepath.Join(t.TempDir(), "changed.zip")
	if err := os.WriteFile(path, seal(t, names, texts), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRebuildFindsWhatDiffers(t *testing.T) {
	dir := newRepo(t, map[string]string{"sub/go.mod": "module example.test/hello/sub\n\ngo 1.26\n", "sub/main.go": mainSource, "sub/conf/app.ini": "k=v"})
	git(t, dir, "tag", "v1.0.0")
	sub := filepath.Join(dir, "sub")
	request := PackRequest{
		Name: "hello", Dir: sub, Out: t.TempDir(), Description: "says its version",
		Build: config.Build{Targets: []string{"windows/amd64"}, Ldflags: "-s -w -X main.version={{.Version}}", Resource: config.Resource{Company: "Hello GmbH"}},
		Files: []config.FileRef{{From: "conf/app.ini", To: "app.ini"}},
	}
	bundle, _, _, err := Pack(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	before := git(t, dir, "status", "--porcelain") + git(t, dir, "worktree", "list")
	git(t, dir, "commit", "-q", "--allow-empty", "-m", "later") // the tree has gone on since
	if err := rebuildOf(t, bundle, sub); err != nil {
		t.Errorf("the unchanged one: %v", err)
	}
	if git(t, dir, "status", "--porcelain")+git(t, dir, "worktree", "list") == "" || before == "" {
		t.Error("git tells nothing")
	}
	write(t, filepath.Join(sub, "main.go"), strings.Replace(mainSource, `"dev"`, `"evil"`, 1))
	git(t, dir, "commit", "-qam", "another program")
	git(t, dir, "tag", "-f", "v1.0.0")
	request.Out = t.TempDir()
	evil, _, _, err := Pack(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	_, other := entriesOf(t, read(t, evil))
	_, good := entriesOf(t, read(t, bundle))
	swapped := writeAnew(t, bundle, "windows_amd64/hello.exe", other["windows_amd64/hello.exe"])
	git(t, dir, "tag", "-f", "v1.0.0", "HEAD~2")
	if err := rebuildOf(t, swapped, dir); problem.KindOf(err) != problem.Verification || !strings.Contains(err.Error(), "windows_amd64/hello.exe") || strings.Contains(err.Error(), "app.ini") {
		t.Errorf("another executable: %v", err)
	}
	swapped = writeAnew(t, bundle, "windows_amd64/app.ini", []byte("k=evil"))
	if err := rebuildOf(t, swapped, dir); problem.KindOf(err) != problem.Verification || !strings.Contains(err.Error(), "windows_amd64/app.ini") || strings.Contains(err.Error(), "hello.exe") {
		t.Errorf("another file: %v", err)
	}
	if bytes.Equal(other["windows_amd64/hello.exe"], good["windows_amd64/hello.exe"]) {
		t.Error("the two programs are the same")
	}
}

// writeAnew packs a bundle with another content, all digests made to fit.
func writeAnew(t *testing.T, bundle, entry string, text []byte) string {
	t.Helper()
	b, err := Open(bundle)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_, texts := entriesOf(t, read(t, bundle))
	texts[entry] = text
	path := filepath.Join(t.TempDir(), "anew.zip")
	if err := os.WriteFile(path, packAnew(t, b.Manifest, texts), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// A recipe comes from whoever made the bundle: it must not be able to run
// programs here.
func TestHostileRecipes(t *testing.T) {
	dir := newRepo(t, nil)
	bundle, _ := pack(t, dir, config.Build{Goreleaser: "none", Targets: []string{"windows/amd64"}})
	proof := filepath.Join(t.TempDir(), "ran")
	tests := map[string][2]string{
		"linker":      {`"-s -w `, `"-linkmode=external -extld=touch,` + proof + ` `},
		"linker word": {`"-s -w `, `"-s -w -extldflags x `},
		"package":     {`"package": "."`, `"package": "-toolexec=touch ` + proof + `"`},
		"commit":      {`"commit": "`, `"commit": "--upload-pack=touch ` + proof},
		"toolchain":   {`"toolchain": "go1`, `"toolchain": "local+path/go1`},
		"folder":      {`"binary": "hello"`, `"binary": "hello", "dir": "../../etc"`},
		"name":        {`"binary": "hello"`, `"binary": "../hello"`},
		"icon":        {`"product": "hello"`, `"product": "hello", "icon": "/etc/passwd"`},
		"goreleaser":  {`"binary": "hello"`, `"binary": "hello", "goreleaser": "../evil.yaml"`},
	}
	for name, words := range tests {
		changed := reseal(t, bundle, func(texts map[string][]byte) {
			head := bytes.Replace(texts[manifestName], []byte(words[0]), []byte(words[1]), 1)
			if bytes.Equal(head, texts[manifestName]) {
				t.Fatalf("%s: %q is not in %s", name, words[0], head)
			}
			texts[manifestName] = head
		})
		if err := rebuildOf(t, changed, dir); problem.KindOf(err) != problem.Verification {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(proof); err == nil {
		t.Error("a program was run")
	}
}

func TestRebuildRefuses(t *testing.T) {
	dir := newRepo(t, nil)
	write(t, filepath.Join(dir, "untracked.txt"), "x")
	dirty, _ := pack(t, dir, config.Build{Goreleaser: "none", Targets: []string{"windows/amd64"}})
	if err := rebuildOf(t, dirty, dir); problem.KindOf(err) != problem.Verification || !strings.Contains(err.Error(), "differs from its commit") {
		t.Errorf("a changed tree: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "untracked.txt")); err != nil {
		t.Fatal(err)
	}
	clean, _ := pack(t, dir, config.Build{Goreleaser: "none", Targets: []string{"windows/amd64"}})
	if err := rebuildOf(t, clean, t.TempDir()); problem.KindOf(err) != problem.Usage || !strings.Contains(problem.HintOf(err), "--source") {
		t.Errorf("no repository: %v", err)
	}
	other := newRepo(t, map[string]string{"more.txt": "x"})
	if err := rebuildOf(t, clean, other); problem.KindOf(err) != problem.Usage || !strings.Contains(problem.HintOf(err), "fetch") {
		t.Errorf("another repository: %v", err)
	}
}
