//go:build windows

package service

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"github.com/go-shipper/shipper/service/resource"
)

// installed is a child under the service manager, registered by its own verbs.
type installed struct {
	t    *testing.T
	name string
	dir  string
	port string
	s    *mgr.Service
}

// Runs on a real Windows as an administrator, and on Wine (wine_test.go).
func install(t *testing.T, kind, port string) *installed {
	t.Helper()
	dir, err := os.MkdirTemp("", "kit") // not TempDir: Wine fails in RemoveAll
	if err != nil {
		t.Fatal(err)
	}
	i := &installed{t: t, name: "shipper-kit-" + kind, dir: dir, port: port}
	t.Cleanup(func() { i.verb("uninstall") })
	i.role(Stable)
	i.must("install")
	m, err := mgr.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Disconnect() })
	if i.s, err = m.OpenService(i.name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.s.Close() })
	return i
}

// verb runs one of the child's verbs in this process, as its Main would.
func (i *installed) verb(verb string, args ...string) (string, error) {
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	own := []string{childArg, strings.TrimPrefix(i.name, "shipper-kit-"), "KIT_NAME=" + i.name, "KIT_DIR=" + i.dir,
		"KIT_CONTROL=" + filepath.Join(i.dir, "run"), "SHIPPER_LISTEN=127.0.0.1:" + i.port,
		"SHIPPER_ROLE_FILE=" + filepath.Join(i.dir, "role")}
	err := Verb(ctx, &out, verb, args, WithName(i.name), WithControl(filepath.Join(i.dir, "run")),
		WithRegistration(Registration{Args: own, Account: "LocalSystem", Description: "a test's service", DependsOn: []string{"RpcSs"},
			Delayed: true, Env: []string{"A=1"}}))
	return out.String(), err
}

func (i *installed) must(verb string, args ...string) string {
	i.t.Helper()
	out, err := i.verb(verb, args...)
	if err != nil {
		i.t.Fatalf("%s: %v", verb, err)
	}
	return out
}

func (i *installed) role(r Role) {
	i.t.Helper()
	path := filepath.Join(i.dir, "role")
	if err := errors.Join(os.WriteFile(path+".new", []byte(r), 0o600), os.Rename(path+".new", path)); err != nil {
		i.t.Fatal(err)
	}
}

func (i *installed) get(path string) string {
	client := http.Client{Timeout: 30 * time.Second}
	resp, err := client.Get("http://127.0.0.1:" + i.port + path)
	if err != nil {
		return "error: " + err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.Status[:3] + " " + string(b)
}

func (i *installed) await(what string, reached func() bool) {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.t.Context(), time.Minute)
	defer cancel()
	for !reached() {
		if !sleep(ctx, 20*time.Millisecond) {
			i.t.Fatalf("no %s within a minute", what)
		}
	}
}

// remove uninstalls; a handle of ours would keep the name.
func (i *installed) remove() {
	i.t.Helper()
	i.s.Close()
	i.must("uninstall")
}

// image is the image path and the start type.
func (i *installed) image() (string, uint32) {
	i.t.Helper()
	b := make([]byte, 8<<10)
	c, needed := (*windows.QUERY_SERVICE_CONFIG)(unsafe.Pointer(&b[0])), uint32(0)
	if err := windows.QueryServiceConfig(i.s.Handle, c, uint32(len(b)), &needed); err != nil {
		i.t.Fatal(err)
	}
	return windows.UTF16PtrToString(c.BinaryPathName), c.StartType
}

func (i *installed) state() svc.Status {
	i.t.Helper()
	st, err := i.s.Query()
	if err != nil {
		i.t.Fatal(err)
	}
	return st
}

func (i *installed) control(c svc.Cmd, want svc.State) {
	i.t.Helper()
	if _, err := i.s.Control(c); err != nil {
		i.t.Fatalf("control %d: %v", c, err)
	}
	i.await(stateName(want), func() bool { return i.state().State == want })
}

// jobs is how often the singleton job ran.
func (i *installed) jobs() int {
	b, _ := os.ReadFile(filepath.Join(i.dir, "jobs"))
	return len(b)
}

// The whole life under the service manager: registered, started, paused,
// continued, reloaded, told of its role, driven from outside, stopped, removed.
func TestWindowsServiceLife(t *testing.T) {
	i := install(t, "serve", "18431")
	if got := i.must("status"); got != "stopped\n" {
		t.Errorf("status %q", got)
	}
	i.must("start")
	i.must("start") // again is no error
	if got := i.get("/"); got != "200 windows-service stable" {
		t.Errorf("answered %s", got)
	}
	st := i.state()
	if want := acceptedRunning; st.Accepts&svc.Accepted(want) != svc.Accepted(want) {
		t.Errorf("accepts %b, want %b", st.Accepts, want)
	}
	i.control(svc.Pause, svc.Paused)
	if got := i.get("/readyz"); !strings.HasPrefix(got, "503") {
		t.Errorf("paused: %s", got)
	}
	if got := i.must("status"); !strings.HasPrefix(got, "paused, process ") {
		t.Errorf("status %q", got)
	}
	i.control(svc.Continue, svc.Running)
	if got := i.get("/readyz"); !strings.HasPrefix(got, "200") {
		t.Errorf("continued: %s", got)
	}
	if _, err := i.s.Control(svc.ParamChange); err != nil {
		t.Errorf("parameter change: %v", err)
	}
	i.await("reload", func() bool { b, _ := os.ReadFile(filepath.Join(i.dir, "reload")); return len(b) > 0 })
	i.roleChange()
	if out := i.must("control", "STATUS"); !strings.Contains(out, `"state": "RUNNING"`) {
		t.Errorf("remote control: %s", out)
	}
	i.must("restart")
	i.must("control", "STOP")
	i.await("stop", func() bool { return i.state().State == svc.Stopped })
	if st := i.state(); st.Win32ExitCode != 0 {
		t.Errorf("a clean stop: %+v", st)
	}
	i.must("stop") // again is no error
	i.remove()
	if _, err := i.verb("status"); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("status after uninstall: %v", err)
	}
}

// roleChange lets the role change under a running service: its singleton job
// runs as the stable one, and not as a canary.
func (i *installed) roleChange() {
	i.t.Helper()
	i.await("jobs of the stable one", func() bool { return i.jobs() > 0 })
	i.role(Canary)
	i.await("canary", func() bool { return i.get("/") == "200 windows-service canary" })
	time.Sleep(2 * rolePoll) // the run that was on its way
	before := i.jobs()
	time.Sleep(time.Second) // twenty runs of a stable one
	if n := i.jobs() - before; n != 0 {
		i.t.Errorf("a canary ran %d jobs", n)
	}
	i.role(Stable)
	i.await("jobs after the promotion", func() bool { return i.jobs() > before })
}

func TestWindowsRegistration(t *testing.T) {
	i := install(t, "serve", "18432")
	exe, err := executable()
	if err != nil {
		t.Fatal(err)
	}
	image, start := i.image()
	if !strings.HasPrefix(image, windows.EscapeArg(exe)+" "+childArg+" serve ") || start != mgr.StartAutomatic {
		t.Errorf("image path %s, start type %d", image, start)
	}
	if known, err := sourceKnown(i.name); err != nil || !known {
		t.Errorf("event source: %v, %v", known, err)
	}
	i.must("install", "-more", "a b") // in place, with arguments
	if image, _ := i.image(); !strings.HasSuffix(image, ` -more "a b"`) {
		t.Errorf("image path %s", image)
	}
	i.remove()
	if known, err := sourceKnown(i.name); err != nil || known {
		t.Errorf("event source after uninstall: %v, %v", known, err)
	}
	for _, verb := range []string{"start", "stop", "uninstall", "status"} {
		if _, err := i.verb(verb); !errors.Is(err, ErrNotInstalled) {
			t.Errorf("%s of none: %v", verb, err)
		}
	}
}

// A service that cannot start, one that ends with a failure, and one that does
// not stop: each ends with an exit code that recovery actions take for a failure.
func TestWindowsFailures(t *testing.T) {
	fails := install(t, "fail", "18433")
	if _, err := fails.verb("start"); err == nil || fails.state().ServiceSpecificExitCode != 1 {
		t.Errorf("a start that fails: %v, %+v", err, fails.state())
	}
	crash := install(t, "crash", "18434")
	crash.must("start")
	process, err := windows.OpenProcess(windows.SYNCHRONIZE, false, crash.state().ProcessId)
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(process)
	crash.get("/crash")
	if event, err := windows.WaitForSingleObject(process, 60_000); err != nil || event != windows.WAIT_OBJECT_0 {
		t.Errorf("the crashed one lives: %v", err)
	}
	if !onWine() { // Wine's service manager does not look after its processes
		crash.await("end of the crashed one", func() bool { return crash.state().State == svc.Stopped })
	}
	hang := install(t, "hang", "18435")
	hang.must("start")
	if _, err := hang.s.Control(svc.Stop); err != nil {
		t.Fatal(err)
	}
	seen := svc.Running // as it is until the service has heard of it
	hang.await("stop of the hanging one", func() bool { seen = hang.state().State; return seen != svc.Running })
	hang.await("end of the hanging one", func() bool { return hang.state().State == svc.Stopped })
	if st := hang.state(); seen != svc.StopPending || st.ServiceSpecificExitCode != 1 {
		t.Errorf("first %s, in the end %+v", stateName(seen), st)
	}
}

// The address file of the remote control is the only way in.
func TestWindowsControlNeedsItsToken(t *testing.T) {
	_, dir, _, stop := controlled(t)
	conn, token, err := dialControl(t.Context(), dir, controlPoint)
	if err != nil || token == "" {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(`{"command":"STOP","token":"guessed"}` + "\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "wrong token") || strings.Contains(string(answer), "report") {
		t.Errorf("answered %s, %v", answer, err)
	}
	sd, err := windows.GetNamedSecurityInfo(filepath.Join(dir, "control.json"), windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil || strings.Contains(sd.String(), ";;;WD)") || strings.Contains(sd.String(), ";;;BU)") {
		t.Errorf("others may read the token: %v, %v", sd, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, _, err := dialControl(t.Context(), dir, controlPoint); err == nil {
		t.Error("the address file is still there")
	}
}

func TestWindowsResources(t *testing.T) {
	m, err := resource.ReadMemory()
	if err != nil || m.Total < 64<<20 || m.Used == 0 || m.Used > m.Total {
		t.Errorf("memory %+v, %v", m, err)
	}
	p, err := resource.ReadProcess()
	if err != nil || p.Resident < 1<<20 || p.Threads < 1 || p.Handles < 1 && !onWine() {
		t.Errorf("process %+v, %v", p, err)
	}
	var cpu resource.CPU
	if busy, err := cpu.Busy(); err != nil || busy != 0 {
		t.Errorf("processors: %g, %v", busy, err)
	}
}
