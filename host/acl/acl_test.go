package acl_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/scm/wine"
)

// folder is TempDir for Wine, where that cannot be cleaned up.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "shipper acl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := acl.RemoveAll(dir); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return dir
}

func TestEnsureRootTwice(t *testing.T) {
	root := filepath.Join(folder(t), "a", "root")
	for range 2 {
		if err := acl.EnsureRoot(root); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "child"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOOS != "windows" {
		if info, err := os.Stat(root); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
}

func TestEnsureRootRefusesLinks(t *testing.T) {
	if wine.Detected() {
		t.Skip("links are Unix's own here")
	}
	dir := folder(t)
	target := filepath.Join(dir, "target")
	if err := os.Mkdir(target, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(target, link); err != nil {
		t.Skipf("no right to make links: %v", err)
	}
	if err := acl.EnsureRoot(link); !errors.Is(err, acl.ErrForeign) {
		t.Errorf("root: %v", err)
	}
	if err := acl.EnsureRoot(dir); !errors.Is(err, acl.ErrForeign) {
		t.Errorf("child: %v", err)
	}
	if err := acl.EnsureRoot(filepath.Join(link, "below")); err == nil && runtime.GOOS == "windows" {
		t.Error("parent: no error")
	}
}

func TestEnsureRootRefusesOthersFolder(t *testing.T) {
	root := filepath.Join(folder(t), "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(root, 12345, -1); err != nil {
		t.Skipf("cannot give a folder away: %v", err)
	}
	if os.Geteuid() == 12345 {
		t.Skip("it is ours")
	}
	if err := acl.EnsureRoot(root); !errors.Is(err, acl.ErrForeign) {
		t.Errorf("got %v", err)
	}
}

func TestWriteProtected(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "secret")
	for _, data := range []string{"one", "two, longer", ""} {
		if err := acl.WriteProtected(path, []byte(data), `NT SERVICE\shipper-test`); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != data {
			t.Errorf("read %q, %v, want %q", got, err, data)
		}
	}
	if runtime.GOOS != "windows" {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if err := acl.WriteProtected(filepath.Join(dir, "no", "folder"), nil, ""); err == nil {
		t.Error("missing folder: no error")
	}
}

func TestGrant(t *testing.T) {
	dir := folder(t)
	for _, account := range []string{"", `NT AUTHORITY\LocalService`, "NetworkService", `NT SERVICE\shipper-test-blue`} {
		for _, a := range []acl.Access{acl.Read, acl.Modify} {
			if err := acl.Grant(dir, account, a); err != nil {
				t.Errorf("grant %q: %v", account, err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err != nil {
		t.Errorf("the grants took our own right: %v", err)
	}
	if err := acl.Grant(filepath.Join(dir, "missing"), "", acl.Read); err == nil && !wine.Detected() {
		t.Error("missing folder: no error")
	}
}

func TestRemoveAll(t *testing.T) {
	dir := filepath.Join(folder(t), "x")
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"f", "a/f", "a/b/f"} {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := acl.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}
