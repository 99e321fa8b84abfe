//go:build windows

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

// registered is the program as a Windows service, installed by its own verb.
type registered struct {
	t   *testing.T
	dir string
	s   *mgr.Service
	pid uint32 // of the run before
}

func register(t *testing.T) *registered {
	t.Helper()
	r := &registered{t: t, dir: folder(t)}
	r.install()
	t.Cleanup(func() { r.verb("uninstall") })
	m, err := mgr.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Disconnect() })
	if r.s, err = m.OpenService("orders"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.s.Close() })
	return r
}

func (r *registered) verb(args ...string) {
	r.t.Helper()
	if out, err := exec.Command(os.Args[0], append([]string{asProgram}, args...)...).CombinedOutput(); err != nil {
		r.t.Fatalf("%s: %v %s", args[0], err, out)
	}
}

// install registers it, or registers it anew, with a fault.
func (r *registered) install(fault ...string) {
	r.t.Helper()
	r.verb(append(append([]string{"install", asProgram}, fault...), flags(r.dir)[1:]...)...)
}

// again waits for the next run. Recovery actions start it, or, where the
// service manager has none, as Wine's, this does in their place.
func (r *registered) again() *instance {
	r.t.Helper()
	i := &instance{t: r.t, log: filepath.Join(r.dir, "orders.log")}
	i.from = len(i.read())
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(3 * time.Minute); ; <-tick.C {
		if err := r.s.Start(); err != nil && !errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
			r.t.Fatal(err)
		}
		if st := r.state(); st.State == svc.Running && st.ProcessId != r.pid {
			r.pid = st.ProcessId
			i.address = i.await(`"address":"([^"]+)"`)
			return i
		}
		if time.Now().After(until) {
			r.t.Fatalf("it is not started again: %+v", r.state())
		}
	}
}

func (r *registered) state() svc.Status {
	r.t.Helper()
	st, err := r.s.Query()
	if err != nil {
		r.t.Fatal(err)
	}
	return st
}

// ended waits for the end of the process.
func (r *registered) ended(p windows.Handle) {
	r.t.Helper()
	defer windows.CloseHandle(p)
	if event, err := windows.WaitForSingleObject(p, 60_000); err != nil || event != windows.WAIT_OBJECT_0 {
		r.t.Fatalf("the process lives: %v", err)
	}
}

func (r *registered) process() windows.Handle {
	r.t.Helper()
	p, err := windows.OpenProcess(windows.SYNCHRONIZE, false, r.pid)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// Crash recovery under the service manager: crashes and hangs of the service
// are failures to it, each next run reports the last one and goes on with the
// work, and after five the service runs in maintenance mode.
func TestWindowsServiceEndsInMaintenance(t *testing.T) {
	r := register(t)
	r.install("ORDERS_CRASH_AFTER=1")
	looks := 0
	for range 4 {
		i := r.again()
		p := r.process()
		i.strike()
		r.ended(p)
		if first := i.looks(false); first <= looks {
			t.Errorf("%d looks after %d", first, looks)
		}
		looks = i.looks(true)
	}
	r.install("ORDERS_HANG_SYNC=20ms")
	hung := r.again()
	hung.await(`work hangs.*"event_id":6`)
	for until := time.Now().Add(time.Minute); r.state().State != svc.Stopped; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("a service that hangs goes on: %+v", r.state())
		}
	}
	if st := r.state(); st.ServiceSpecificExitCode != 1 {
		t.Errorf("hung: %+v", st)
	}
	r.install()
	last := r.again()
	last.await(`maintenance mode.*"event_id":8`)
	if status, body := last.get("/readyz"); status != 503 || !strings.Contains(body, "maintenance mode") {
		t.Errorf("ready: %d %s", status, body)
	}
	if n := len(reports(t, r.dir)); n != 4 {
		t.Errorf("%d reports of 4 crashes", n)
	}
	r.verb("stop")
}
