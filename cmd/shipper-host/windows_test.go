//go:build windows

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows/registry"

	"github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/scm"
)

// TestWindowsGuard goes through the life of the guard's service on a host of
// its own: it must not run where a guard is in use.
func TestWindowsGuard(t *testing.T) {
	m, err := scm.NewWindows()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if st, err := m.Status(t.Context(), guardService); err != nil || st.State != scm.Absent {
		t.Skipf("a guard is here already: %v, %v", st.State, err)
	}
	if code, _, err := shipperHost(nil, "status"); code != 1 || !strings.Contains(err, "hint: deploy a service to this host first") {
		t.Errorf("status before: %d, %q", code, err)
	}
	serveOnce(t)
	t.Cleanup(func() { uninstalled(t, m) })
	first, err := m.Status(t.Context(), guardService)
	if err != nil || first.State != scm.Running {
		t.Fatalf("guard: %+v, %v", first, err)
	}
	imagePath(t)
	if _, err := os.Stat(filepath.Join(host.DefaultLayout("").Programs, "bin", "shipper-host.exe")); err != nil {
		t.Errorf("copy for the console: %v", err)
	}

	serveOnce(t) // uses it as it is
	if again, err := m.Status(t.Context(), guardService); err != nil || again != first {
		t.Errorf("second serve made %+v of %+v, %v", again, first, err)
	}
	if err := m.Stop(t.Context(), guardService, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if st, err := m.Status(t.Context(), guardService); err != nil || st.Exit != 0 {
		t.Errorf("stopped guard: %+v, %v", st, err)
	}
	if code, out, err := shipperHost(nil, "status"); code != 0 || out != "no services here\n" {
		t.Errorf("status starts it: %d, %q, %q", code, out, err)
	}
}

func serveOnce(t *testing.T) {
	t.Helper()
	if code, _, err := shipperHost(strings.NewReader(""), "serve"); code != 0 {
		t.Fatalf("serve: %d, %s", code, err)
	}
}

func imagePath(t *testing.T) {
	t.Helper()
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Services\`+guardService, registry.QUERY_VALUE)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := key.GetStringValue("ImagePath"); err != nil || got != `"`+exe+`" guard` {
		t.Errorf("image path %q, %v", got, err)
	}
}

func uninstalled(t *testing.T, m *scm.Windows) {
	if code, out, err := shipperHost(nil, "uninstall"); code != 0 || out != "" {
		t.Errorf("uninstall: %d, %q, %q", code, out, err)
	}
	l := host.DefaultLayout("")
	for _, dir := range []string{l.Programs, l.Data} {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is left", dir)
		}
	}
}
