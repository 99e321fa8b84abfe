package secrets

import (
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/windows"
)

// A file that is sealed as shipper's guard does it.
func TestWindowsSecretsOfShipper(t *testing.T) {
	plain := []byte(`{"DB_PASSWORD":"hunter2"}`)
	var out windows.DataBlob
	in := windows.DataBlob{Size: uint32(len(plain)), Data: &plain[0]}
	if err := windows.CryptProtectData(&in, nil, nil, 0, nil, windows.CRYPTPROTECT_LOCAL_MACHINE|windows.CRYPTPROTECT_UI_FORBIDDEN, &out); err != nil {
		t.Fatal(err)
	}
	sealed := unsafe.Slice(out.Data, out.Size)
	path := filepath.Join(folder(t), "secrets.sealed")
	if err := os.WriteFile(path, sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	r := Resolver{Env: func(name string) string { return map[string]string{"SHIPPER_SECRETS": path}[name] }}
	if v, err := r.Get(t.Context(), "shipper:DB_PASSWORD"); err != nil || v.Reveal() != "hunter2" {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(path, sealed[:len(sealed)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(t.Context(), "shipper:DB_PASSWORD"); err == nil {
		t.Error("a torn file was taken")
	}
}

// folder is TempDir for Wine, which fails to clean that up.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "service secrets")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
