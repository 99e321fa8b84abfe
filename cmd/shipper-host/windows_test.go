//go:build windows

package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows/registry"

	"github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/host/wrapper"
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

// TestWindowsWrap runs console programs as services: the program's exit code
// is the service's, and a stop reaches the program.
func TestWindowsWrap(t *testing.T) {
	m, err := scm.NewWindows()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	dir, err := os.MkdirTemp("", "wrap test")
	if err != nil {
		t.Fatal(err)
	}
	defer acl.RemoveAll(dir)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "wrap.json")
	spec := scm.Spec{Name: "shipper-wrap-test", DisplayName: "shipper-wrap-test", Executable: exe,
		Args: []string{"wrap", "--config", file}, Start: scm.Manual}
	if err := m.Ensure(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Delete(t.Context(), spec.Name); err != nil {
			t.Error(err)
		}
	}()
	for script, want := range map[string]uint32{"exit 7": 7, "set /p x= & exit 0": 0} {
		c := wrapper.Config{Name: spec.Name, Executable: filepath.Join(os.Getenv("SystemRoot"), "system32", "cmd.exe"),
			Args: []string{"/c", script}, Dir: dir, LogDir: filepath.Join(dir, "logs"), StopSignal: wrapper.StdinClose}
		b, err := json.Marshal(c)
		if err == nil {
			err = os.WriteFile(file, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		err = m.Start(t.Context(), spec.Name)
		var failed *scm.StartError
		if err != nil && !errors.As(err, &failed) { // it may end while it starts
			t.Fatal(err)
		}
		if want == 0 {
			if err := m.Stop(t.Context(), spec.Name, 20*time.Second); err != nil {
				t.Errorf("stop: %v", err)
			}
		}
		for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
			st, err := m.Status(t.Context(), spec.Name)
			if err != nil {
				t.Fatal(err)
			}
			if st.State == scm.Stopped {
				if st.Exit != want {
					t.Errorf("%q: exit code %d, want %d", script, st.Exit, want)
				}
				break
			}
		}
	}
}
