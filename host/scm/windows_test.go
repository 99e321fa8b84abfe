//go:build windows

package scm_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/host/scm/wine"
)

// Runs on a real Windows as an administrator, and on Wine (wine_test.go).
func TestWindowsContract(t *testing.T) {
	w, err := scm.NewWindows()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	testContract(t, bench{Manager: w, prefix: "shipper-test-", exe: executable(t)})
}

func one(t *testing.T, args ...string) (context.Context, *scm.Windows, *mgr.Service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	w, err := scm.NewWindows()
	if err != nil {
		t.Fatal(err)
	}
	m, err := mgr.Connect()
	if err != nil {
		t.Fatal(err)
	}
	b := bench{Manager: w, prefix: "shipper-one-", exe: executable(t)}
	t.Cleanup(func() { b.clean(t); m.Disconnect(); w.Close() })
	s, err := m.OpenService(b.begin(t, ctx, b.spec(args...)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return ctx, w, s
}

func TestWindowsImagePathIsQuoted(t *testing.T) {
	_, _, s := one(t, "serve")
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Services\`+s.Name, registry.QUERY_VALUE)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	image, _, err := key.GetStringValue("ImagePath")
	if err != nil || !strings.HasPrefix(image, `"`+executable(t)+`" `) {
		t.Errorf("image path %s, %v", image, err)
	}
}

// A running service takes stop, shutdown and preshutdown; one that is slow to
// stop says all the time that it goes on.
func TestWindowsPreshutdownAndCheckpoints(t *testing.T) {
	l := rendezvous(t)
	ctx, w, s := one(t, "slow-stop", l.Addr().String())
	c := meetConn(t, l)
	st, err := s.Query()
	if want := svc.AcceptStop | svc.AcceptShutdown | svc.AcceptPreShutdown; err != nil || st.Accepts&want != want {
		t.Errorf("accepts %b, %v", st.Accepts, err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- w.Stop(ctx, s.Name, 2*time.Minute) }()
	await(t, ctx, "checkpoints", func() bool { return checkpoint(t, s) > 2 })
	c.Close()
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	if st, err := w.Status(ctx, s.Name); err != nil || st.Exit != 0 {
		t.Errorf("status %+v, %v", st, err)
	}
}

func checkpoint(t *testing.T, s *mgr.Service) uint32 {
	t.Helper()
	var st windows.SERVICE_STATUS_PROCESS
	var needed uint32
	err := windows.QueryServiceStatusEx(s.Handle, windows.SC_STATUS_PROCESS_INFO, (*byte)(unsafe.Pointer(&st)),
		uint32(unsafe.Sizeof(st)), &needed)
	if err != nil {
		t.Fatal(err)
	}
	return st.CheckPoint
}

func TestWindowsPanicIsAFailure(t *testing.T) {
	l := rendezvous(t)
	ctx, w, s := one(t, "panic-when-called", l.Addr().String())
	meet(t, l)
	await(t, ctx, "the end", func() bool {
		st, err := w.Status(ctx, s.Name)
		return err == nil && st.State == scm.Stopped && st.Exit == 1
	})
}

// Wine runs services of its own for which the registry knows nothing; who
// looks for the programs in use must not fail over them.
func TestWindowsServiceWithoutKey(t *testing.T) {
	if !wine.Detected() {
		t.Skip("on Windows each service has its key")
	}
	ctx, w, s := one(t, "serve")
	if err := registry.DeleteKey(registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Services\`+s.Name); err != nil {
		t.Fatal(err)
	}
	spec, err := w.Spec(ctx, s.Name)
	if err != nil || spec.Executable != executable(t) {
		t.Errorf("%q, %v", spec.Executable, err)
	}
}

// Pruning reads what every service of the host runs, also those of Windows
// that nobody may change, and those without an image path.
func TestWindowsSpecOfEveryService(t *testing.T) {
	_, w, own := one(t, "serve")
	names, err := w.List(t.Context(), "")
	if err != nil || !slices.Contains(names, own.Name) {
		t.Fatalf("%v, %v", names, err)
	}
	for _, name := range names {
		_, err := w.Spec(t.Context(), name)
		if err != nil && !errors.Is(err, scm.ErrNotFound) && !errors.Is(err, scm.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
