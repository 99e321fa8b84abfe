//go:build linux

package service

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fakeSystemd is systemd's end of the notify protocol, on a real socket.
type fakeSystemd struct {
	t    *testing.T
	conn *net.UnixConn
}

func listenNotify(t *testing.T, name string) fakeSystemd {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return fakeSystemd{t, conn}
}

func (f fakeSystemd) next() string {
	f.t.Helper()
	b := make([]byte, 4096)
	n, err := f.conn.Read(b)
	if err != nil {
		f.t.Fatalf("systemd hears nothing: %v", err)
	}
	return string(b[:n])
}

// await reads until a message begins so, and gives all that was read.
func (f fakeSystemd) await(prefix string) string {
	f.t.Helper()
	var all []string
	for {
		m := f.next()
		all = append(all, m)
		if strings.HasPrefix(m, prefix) {
			return strings.Join(all, "\n--\n")
		}
	}
}

// mark skips what was told so far, however much a busy machine let gather.
func (f fakeSystemd) mark(text string) {
	f.t.Helper()
	conn, err := net.DialUnix("unixgram", nil, f.conn.LocalAddr().(*net.UnixAddr))
	if err == nil {
		_, err = conn.Write([]byte(text))
		err = errors.Join(err, conn.Close())
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.await(text)
}

func TestSystemdIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for env, name := range map[string]string{
		filepath.Join(dir, "notify"): filepath.Join(dir, "notify"),
		"@" + filepath.Base(dir):     "@" + filepath.Base(dir), // an abstract one, which Go spells so too
	} {
		systemd := listenNotify(t, name)
		r := run(t, launch(t, "serve", "NOTIFY_SOCKET="+env, "KIT_DIR="+dir))
		if got := systemd.await("READY=1"); !strings.Contains(got, "STATUS=RUNNING: ready") {
			t.Errorf("told %s", got)
		}
		if got := r.get("/"); got != "200 systemd stable" {
			t.Errorf("answered %s", got)
		}
		r.signal(syscall.SIGHUP)
		if got := systemd.await("RELOADING=1"); !strings.Contains(got, "\nMONOTONIC_USEC=") {
			t.Errorf("told %s", got)
		}
		if got := systemd.await("READY=1"); !strings.Contains(got, "STATUS=reloaded") {
			t.Errorf("told %s", got)
		}
		r.signal(syscall.SIGTERM)
		if got := systemd.await("STOPPING=1"); !strings.Contains(got, "asked to stop by terminated") {
			t.Errorf("told %s", got)
		}
		if code, log := r.wait(); code != 0 {
			t.Errorf("exit %d: %s", code, log)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "reload")); err != nil || string(b) != "reload\nreload\n" {
		t.Errorf("reloaded %q, %v", b, err)
	}
}

// The watchdog hears of the service while it is alive, and no more.
func TestSystemdWatchdog(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "notify")
	systemd := listenNotify(t, name)
	r := run(t, launch(t, "serve", "NOTIFY_SOCKET="+name, "WATCHDOG_USEC=20000"))
	systemd.await("READY=1")
	systemd.await("WATCHDOG=1")
	systemd.await("WATCHDOG=1")
	r.get("/dead")
	systemd.mark("what was told before")
	if err := systemd.conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	late := 0 // one may have been on its way
	for b := make([]byte, 4096); ; {
		n, err := systemd.conn.Read(b)
		if err != nil {
			break
		}
		if strings.HasPrefix(string(b[:n]), "WATCHDOG=1") {
			late++
		}
	}
	if late > 3 { // of the thirty that a living one tells in that time
		t.Errorf("the watchdog heard %d times of a dead service", late)
	}
}

func TestWatchdogIsForThisProcess(t *testing.T) {
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"30000000", "7", 30 * time.Second}, {"30000000", "", 30 * time.Second}, {"30000000", "8", 0},
		{"", "7", 0}, {"0", "7", 0}, {"-5", "7", 0}, {"soon", "7", 0},
	} {
		env := map[string]string{"WATCHDOG_USEC": tt.usec, "WATCHDOG_PID": tt.pid}
		if got := watchdogOf(func(n string) string { return env[n] }, 7); got != tt.want {
			t.Errorf("%v: %s", env, got)
		}
	}
}

// A socket unit's sockets are taken instead of the address, by their number
// and by their name.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	child := launch(t, "serve", "LISTEN_FDS=1", "LISTEN_FDNAMES=web", "SHIPPER_LISTEN=127.0.0.1:1")
	child.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, child.Path}, child.Args[1:]...)
	child.Path, child.ExtraFiles = "/bin/sh", []*os.File{f}
	r := run(t, child)
	if want := "http://" + l.Addr().String(); r.url != want {
		t.Errorf("serves at %s, want %s", r.url, want)
	}
	if got := r.get("/"); got != "200 debug stable" {
		t.Errorf("answered %s", got)
	}
	r.signal(syscall.SIGTERM)
	if code, log := r.wait(); code != 0 {
		t.Errorf("exit %d: %s", code, log)
	}
}

func TestSocketsOfOthersAreLeftAlone(t *testing.T) {
	for _, env := range []map[string]string{
		{}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
	} {
		if got, err := inheritedSockets(func(n string) string { return env[n] }); err != nil || got != nil {
			t.Errorf("%v: %v, %v", env, got, err)
		}
	}
	for _, count := range []string{"", "-1", "many", "100000"} {
		env := map[string]string{"LISTEN_PID": strconv.Itoa(os.Getpid()), "LISTEN_FDS": count}
		if _, err := inheritedSockets(func(n string) string { return env[n] }); err == nil {
			t.Errorf("LISTEN_FDS=%s was taken", count)
		}
	}
}

func TestTakeSocketByName(t *testing.T) {
	a, b := &net.TCPListener{}, &net.TCPListener{}
	s := &Service{sockets: []namedListener{{"web", a}, {"admin", b}}}
	if s.Socket("admin") != net.Listener(b) || s.Socket("admin") != nil || s.takeSocket("") != net.Listener(a) || s.takeSocket("") != nil {
		t.Error("each can be had once, by its name")
	}
}

// What comes out of the unit file is what went into the registration, also
// what systemd would replace.
func TestUnitFile(t *testing.T) {
	r, err := Registration{Description: "100% orders", Args: []string{"-dir", `C:\a b`, "$HOME", `"q"`}, Env: []string{"A=1 2"},
		DependsOn: []string{"postgresql.service"}, Writable: []string{"/srv/x y"}}.withDefaults("orders")
	if err != nil {
		t.Fatal(err)
	}
	unit := unitFile("orders", "/opt/my app/orders", r, time.Minute, 20*time.Second)
	for _, want := range []string{
		`Description=100%% orders`, `Type=notify`, `After=network.target postgresql.service`, `Requires=postgresql.service`,
		`ExecStart="/opt/my app/orders" "-dir" "C:\\a b" "$$HOME" "\"q\""`, `Environment="A=1 2"`,
		`Restart=on-failure`, `RestartSec=1s`, `TimeoutStopSec=30s`, `WatchdogSec=30s`, `DynamicUser=yes`,
		`StateDirectory=orders`, `NoNewPrivileges=yes`, `ReadWritePaths="/srv/x y"`, `WantedBy=multi-user.target`,
	} {
		if !strings.Contains(unit, "\n"+want+"\n") {
			t.Errorf("no %q in\n%s", want, unit)
		}
	}
	r.Recovery, r.Account = []time.Duration{}, "orders"
	unit = unitFile("orders", "/x", r, time.Minute, time.Second)
	if !strings.Contains(unit, "Restart=no\n") || !strings.Contains(unit, "User=orders\n") || strings.Contains(unit, "DynamicUser") {
		t.Errorf("%s", unit)
	}
}

func TestRegistrationsThatCannotBe(t *testing.T) {
	for name, r := range map[string]Registration{
		"good":         {},
		"":             {},
		"no/slash":     {},
		"no$dollar":    {},
		"two-lines":    {Description: "a\nExecStartPre=/bin/evil"},
		"bad-env":      {Env: []string{"=x"}},
		"bad-argument": {Args: []string{"a\x00b"}},
	} {
		if _, err := r.withDefaults(name); (err == nil) != (name == "good") {
			t.Errorf("%q %+v: %v", name, r, err)
		}
	}
}

// The verbs against systemd's own tool, as far as it goes without a booted
// systemd: that it finds nothing wrong with the unit.
func TestUnitIsWhatSystemdUnderstands(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze")
	}
	r, err := Registration{Socket: "127.0.0.1:18099", Args: []string{"a b"}, Writable: []string{"/srv"}}.withDefaults("kit-test")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	units := map[string]string{
		"kit-test.service": unitFile("kit-test", "/bin/true", r, time.Minute, time.Second),
		"kit-test.socket":  socketFile("kit-test", r),
	}
	for name, text := range units {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name := range units {
		out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", filepath.Join(dir, name)).CombinedOutput()
		if err != nil || strings.Contains(string(out), name+":") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
