package helper

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

func zst(t *testing.T, b []byte) *fstest.MapFile {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: w.EncodeAll(b, nil)}
}

func TestFindOrder(t *testing.T) {
	const name = "shipper-host_windows_amd64.exe"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("from the folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		bin  fs.FS
		dir  string
		want string
	}{
		{"embedded first", fstest.MapFS{name + ".zst": zst(t, []byte("embedded"))}, dir, "embedded"},
		{"not compressed", fstest.MapFS{name: {Data: []byte("plain")}}, "", "plain"},
		{"then the folder", fstest.MapFS{}, dir, "from the folder"},
	}
	for _, c := range cases {
		h, err := find(t.Context(), c.bin, c.dir, "windows", "amd64")
		if err != nil || string(h.Bytes) != c.want || h.SHA256 != release.Of([]byte(c.want)) || h.Source == "" {
			t.Errorf("%s: %q from %q, %v", c.name, h.Bytes, h.Source, err)
		}
	}
}

func TestFindRefuses(t *testing.T) {
	const name = "shipper-host_windows_amd64.exe.zst"
	damaged := zst(t, []byte(strings.Repeat("content ", 1000)))
	damaged.Data = damaged.Data[:len(damaged.Data)-5]
	for what, c := range map[string]struct {
		bin fs.FS
		dir string
	}{
		"damaged":               {fstest.MapFS{name: damaged}, ""},
		"empty":                 {fstest.MapFS{name: zst(t, nil)}, ""},
		"too large":             {fstest.MapFS{name: zst(t, make([]byte, maxSize+1))}, ""},
		"missing in the folder": {fstest.MapFS{}, t.TempDir()},
	} {
		if _, err := find(t.Context(), c.bin, c.dir, "windows", "amd64"); err == nil || problem.HintOf(err) == "" {
			t.Errorf("%s: %v, hint %q", what, err, problem.HintOf(err))
		}
	}
}

// standIn is a module that looks like this one.
func standIn(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "go.mod", "module "+module+"\n\ngo 1.26\n")
	write(t, dir, "cmd/shipper-host/main.go", "package main\n\nfunc main() { println(\"one\") }\n")
	return dir
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBuildsOnceForEachSource(t *testing.T) {
	dir, cache := standIn(t), t.TempDir()
	get := func() ([]byte, error) {
		key, err := sourceKey(dir)
		if err != nil {
			t.Fatal(err)
		}
		exe, _, err := cached(context.Background(), cache, dir, key, runtime.GOOS, runtime.GOARCH)
		return exe, err
	}
	first, err := get()
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "cmd/shipper-host/main_test.go", "package main\n")
	path := os.Getenv("PATH")
	t.Setenv("PATH", "")
	if again, err := get(); err != nil || string(again) != string(first) {
		t.Errorf("a second time: %v", err)
	}
	t.Setenv("PATH", path)
	write(t, dir, "cmd/shipper-host/main.go", "package main\n\nfunc main() { println(\"two\") }\n")
	if changed, err := get(); err != nil || string(changed) == string(first) {
		t.Errorf("changed source gives the old build, %v", err)
	}
	write(t, dir, "cmd/shipper-host/main.go", "package main\n\nfunc main() { oops }\n")
	if _, err := get(); err == nil || !strings.Contains(err.Error(), "oops") {
		t.Errorf("broken source: %v", err)
	}
	left, err := os.ReadDir(cache)
	if err != nil || len(left) != 2 {
		t.Errorf("cache holds %v, %v", left, err)
	}
}

func TestSameBytesFromAnotherFolder(t *testing.T) {
	var builds [2][]byte
	for i := range builds {
		out := filepath.Join(t.TempDir(), "exe")
		if err := Build(t.Context(), standIn(t), "windows", "arm64", out); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		builds[i] = b
	}
	if string(builds[0]) != string(builds[1]) {
		t.Error("builds differ")
	}
}

func TestCheckout(t *testing.T) {
	dir := standIn(t)
	if got, ok := checkout(filepath.Join(dir, "cmd", "shipper-host")); !ok || got != dir {
		t.Errorf("checkout = %q, %t", got, ok)
	}
	other := t.TempDir()
	write(t, other, "go.mod", "module example.com/orders\n")
	if _, ok := checkout(other); ok {
		t.Error("another module taken for ours")
	}
}

func TestPruneKeepsTheNewest(t *testing.T) {
	cache := t.TempDir()
	for i := range keepBuilt + 3 {
		write(t, cache, "build"+string(rune('a'+i)), "x")
	}
	if err := prune(cache); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(cache); len(left) != keepBuilt {
		t.Errorf("%d builds left", len(left))
	}
}

func TestFindThisModule(t *testing.T) {
	if testing.Short() {
		t.Skip("builds shipper-host")
	}
	if out, err := exec.Command("go", "list", module+"/cmd/shipper-host").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h, err := Find(t.Context(), "windows", "amd64")
	if err != nil || !strings.HasPrefix(string(h.Bytes), "MZ") {
		t.Fatalf("%d bytes from %s, %v", len(h.Bytes), h.Source, err)
	}
}
