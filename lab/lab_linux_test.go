package lab

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/masterzen/winrm"

	"github.com/go-shipper/shipper/problem"
)

func TestMain(m *testing.M) {
	Serve()
	if os.Getenv("SHIPPER_LAB_AGENT") != "" {
		playAgent()
	}
	if dir := os.Getenv("LAB_TEST_OWNER"); dir != "" {
		own(dir)
	}
	os.Exit(m.Run())
}

// own starts a temporary lab and waits to be killed.
func own(dir string) {
	if _, err := Up(context.Background(), Options{Dir: dir, Name: "owned", Temporary: true}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("up")
	select {}
}

// needWine skips what cannot run here.
func needWine(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Wine; not in -short")
	}
	if _, err := exec.LookPath("wine"); err != nil {
		t.Skip("wine is not installed: apt-get install --no-install-recommends wine wine64")
	}
}

// up starts a lab and, at the end, makes sure that nothing is left of it.
func up(t *testing.T, o Options) *Lab {
	t.Helper()
	needWine(t)
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Name == "" {
		o.Name = "test"
	}
	o.Log = func(line string) { t.Log(line) }
	l, err := Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { down(t, l) })
	return l
}

func down(t *testing.T, l *Lab) {
	t.Helper()
	servers := serverDirs(t, l)
	if t.Failed() {
		logs, _ := filepath.Glob(filepath.Join(l.dir, "*", "daemon.log"))
		for _, f := range logs {
			b, _ := os.ReadFile(f)
			t.Logf("%s:\n%s", f, b)
		}
	}
	if err := l.Down(context.Background()); err != nil {
		t.Error(err)
	}
	for _, h := range l.Hosts() {
		if a, b := processes(l.Prefix(h.Name)); len(a)+len(b) > 0 {
			t.Errorf("processes are left of %s: %v %v", h.Name, a, b)
		}
	}
	for _, path := range append(servers, l.dir) {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
	if bridge := l.state.Network.Bridge; bridge != "" {
		if _, err := net.InterfaceByName(bridge); err == nil {
			t.Errorf("interface %s is left", bridge)
		}
	}
}

// serverDirs are the folders in /tmp that Wine made for the lab's prefixes.
func serverDirs(t *testing.T, l *Lab) (dirs []string) {
	t.Helper()
	for _, h := range l.Hosts() {
		if b, err := os.ReadFile(filepath.Join(l.Prefix(h.Name), "wineserver")); err == nil {
			dirs = append(dirs, filepath.Join("/tmp", string(b)))
		}
	}
	return dirs
}

// program builds the test program and puts it on a host as C:\p.exe.
func program(t *testing.T, l *Lab, host string) {
	t.Helper()
	file := filepath.Join(l.Prefix(host), "drive_c", "p.exe")
	cmd := exec.Command("go", "build", "-o", file, "./testdata/service")
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// execute runs a line and returns its exit code and output.
func execute(t *testing.T, l *Lab, line string, stdin []byte) (int, string) {
	t.Helper()
	var out bytes.Buffer
	exit, err := l.Exec(t.Context(), "host1", line, bytes.NewReader(stdin), &out, &out)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return exit, out.String()
}

func TestCommandsOnAHost(t *testing.T) {
	l := up(t, Options{})
	program(t, l, "host1")
	for _, test := range []struct {
		line string
		exit uint32
		out  string
	}{
		{`C:\p.exe exit 70000`, 70000, ""},
		{`C:\p.exe exit 4294967295`, 4294967295, ""},
		{`exit 3`, 3, ""},
		{`echo %COMPUTERNAME%& ver`, 0, "Microsoft Windows 10"},
		{`mkdir "%ProgramFiles%\a b" && copy C:\p.exe "%ProgramFiles%\a b\p.exe" > nul && echo made`, 0, "made"},
		{`"C:\Program Files\a b\p.exe" args serve`, 0, `["serve"]`},
		{`"%ProgramFiles%\a b\p.exe" args "two words" "" a^&b`, 0, `["two words" "" "a&b"]`},
		{`C:\p.exe args x > C:\out.txt 2>&1 & type C:\out.txt`, 0, `["x"]`},
		{`nosuchprogram`, 9009, "nosuchprogram"},
		{`certutil -hashfile C:\out.txt SHA256`, 0, "SHA256 hash of C:\\out.txt:\r\n"},
		{`certutil -hashfile C:\missing SHA256`, 0x80070002, "ERROR_FILE_NOT_FOUND"},
		{`icacls C:\out.txt /inheritance:r /grant:r *S-1-5-18:F /Q & icacls C:\out.txt`, 0, `C:\out.txt NT AUTHORITY\SYSTEM:(F)`},
		{`dir Z:\`, 1, ""},
	} {
		exit, out := execute(t, l, test.line, nil)
		if uint32(exit) != test.exit || !strings.Contains(out, test.out) {
			t.Errorf("%s: exit %d, %q; want %d, %q", test.line, uint32(exit), out, test.exit, test.out)
		}
	}
	long, out := execute(t, l, "echo "+strings.Repeat("x", 8000), nil)
	if long != 0 || len(out) < 8000 {
		t.Errorf("a long line: exit %d, %d bytes", long, len(out))
	}
	if _, err := l.Exec(t.Context(), "host1", "echo "+strings.Repeat("x", maxLine), nil, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
		t.Error("a line that is too long was run")
	}
}

func TestBinaryStreams(t *testing.T) {
	l := up(t, Options{})
	program(t, l, "host1")
	data := make([]byte, 10<<20)
	_, _ = rand.Read(data)
	if exit, out := execute(t, l, `C:\p.exe copy`, data); exit != 0 || sha256.Sum256([]byte(out)) != sha256.Sum256(data) {
		t.Errorf("exit %d, %d bytes, not the same %d", exit, len(out), len(data))
	}
}

func TestWinRMOfAHost(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's own: others do not see its packages
	if err := exec.Command(python, "-c", "import winrm").Run(); err != nil {
		t.Skip("pywinrm is not installed: apt-get install python3-winrm")
	}
	l := up(t, Options{Hosts: 2})
	program(t, l, "host2")
	h := l.Hosts()[1]
	cmd := exec.Command(python, "wsman/testdata/conformance.py")
	cmd.Env = append(os.Environ(), "OPENSSL_CONF=wsman/testdata/openssl.cnf", "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=*",
		"LAB_HTTP="+net.JoinHostPort(h.Address, strconv.Itoa(h.HTTPPort)), "LAB_HTTPS="+net.JoinHostPort(h.Address, strconv.Itoa(h.HTTPSPort)),
		"LAB_USER="+h.User, "LAB_PASSWORD="+h.Password, "LAB_CA="+h.CAFile, `LAB_COMMAND=C:\p.exe copy & exit 7`)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "ok ") != 7 {
		t.Errorf("%v\n%s", err, out)
	}
}

// connect opens a WinRM shell on host1.
func connect(t *testing.T, l *Lab) *winrm.Shell {
	t.Helper()
	h := l.Hosts()[0]
	ca, err := os.ReadFile(h.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	client, err := winrm.NewClientWithParameters(winrm.NewEndpoint(h.Address, h.HTTPSPort, true, false, ca, nil, nil, time.Minute),
		h.User, h.Password, winrm.NewParameters("PT20S", "en-US", 153600))
	if err != nil {
		t.Fatal(err)
	}
	shell, err := client.CreateShell()
	if err != nil {
		t.Fatal(err)
	}
	return shell
}

// running counts the host's processes whose command line contains text.
func running(l *Lab, text string) (n int) {
	_, others := processes(l.Prefix("host1"))
	for _, pid := range others {
		line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if strings.Contains(string(line), text) {
			n++
		}
	}
	return n
}

// eventually asks until it is so, for minutes: what has passed unseen must not
// keep everything.
func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !is(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
		if err := sleep(t.Context(), 10*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeleteEndsTheProcessTree(t *testing.T) {
	l := up(t, Options{})
	program(t, l, "host1")
	shell := connect(t, l)
	if _, err := shell.ExecuteWithContext(t.Context(), `C:\p.exe tree C:\tree.txt`); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(l.Prefix("host1"), "drive_c", "tree.txt.child"))
		return err == nil
	})
	if n := running(l, "p.exe"); n < 2 {
		t.Fatalf("%d processes run", n)
	}
	if err := shell.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return running(l, "p.exe") == 0 && running(l, agentName) == 0 })
}

func TestLoopbackLab(t *testing.T) {
	l := up(t, Options{Hosts: 2, Loopback: true})
	for _, h := range l.Hosts() {
		if !strings.HasPrefix(h.Address, "127.") {
			t.Errorf("%s has the address %s", h.Name, h.Address)
		}
	}
	if shell := connect(t, l); shell.Close() != nil {
		t.Error("the shell could not be closed")
	}
}

func TestFaultsOfAHost(t *testing.T) {
	l := up(t, Options{})
	if err := l.SetFaults(t.Context(), "host1", Faults{Unavailable: time.Hour}); err != nil {
		t.Fatal(err)
	}
	response, err := http.Post("http://"+net.JoinHostPort(l.Hosts()[0].Address, "5985")+"/wsman", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%s", response.Status)
	}
}

func TestWrongUse(t *testing.T) {
	dir := t.TempDir()
	for name, o := range map[string]Options{
		"name": {Name: "No Good"}, "long name": {Name: strings.Repeat("x", 21)}, "path": {Name: "../x"}, "hosts": {Hosts: -1}, "many hosts": {Hosts: 101},
	} {
		o.Dir = dir
		if _, err := Up(t.Context(), o); problem.KindOf(err) != problem.Usage || problem.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(t.Context(), dir, "nosuch"); problem.HintOf(err) == "" {
		t.Errorf("unknown lab: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDaemonThatIsNone(t *testing.T) {
	t.Setenv(daemonEnv, "1")
	if _, err := Up(t.Context(), Options{Dir: t.TempDir()}); err == nil {
		t.Error("a process that was meant to be a daemon started a lab")
	}
}

func TestRoutes(t *testing.T) {
	for line, want := range map[string]string{
		"eth0\t004D0A0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0": "10.10.77.0/24",
		"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0": "",
		"Iface\tDestination": "",
	} {
		p, ok := parseRoute(line)
		if ok != (want != "") || ok && p.String() != want {
			t.Errorf("%q: %v, %v", line, p, ok)
		}
	}
}
