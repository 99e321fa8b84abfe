package winetest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/go-shipper/shipper/lab"
)

// Run compiles the tests of the package in the current folder for Windows and
// runs those that match pattern on a fresh host, from a path with spaces. The
// package's TestMain calls lab.Serve first. Skipped with -short.
func Run(t *testing.T, pattern string) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Wine host")
	}
	exe := filepath.Join(t.TempDir(), "the test.exe")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", exe, ".")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("compile tests for Windows: %v\n%s", err, out)
	}
	l, err := lab.Up(t.Context(), lab.Options{Name: fmt.Sprintf("unit-%d", os.Getpid()), Log: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	host := l.Hosts()[0].Name
	if err := place(exe, filepath.Join(l.Prefix(host), "drive_c", "Program Files", "shipper tests")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	line := `"C:\Program Files\shipper tests\the test.exe" -test.v -test.timeout 10m -test.run ` + pattern
	code, err := l.Exec(t.Context(), host, line, nil, &out, &out)
	t.Logf("on Wine:\n%s", out.Bytes())
	if err != nil || code != 0 {
		t.Errorf("tests on Wine: exit code %d, %v", code, err)
	}
	if !bytes.Contains(out.Bytes(), []byte("--- PASS")) {
		t.Error("no test ran on Wine")
	}
}

func place(exe, dir string) error {
	b, err := os.ReadFile(exe)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, filepath.Base(exe)), b, 0o755)
}
