package wrapper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/scm/wine"
	"github.com/go-shipper/shipper/host/secret"
	"github.com/go-shipper/shipper/lab/ports"
)

// folder is TempDir for Wine, where that cannot be cleaned up.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "shipper wrapper")
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

func config(t *testing.T, args ...string) Config {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Config{Name: "test", Executable: exe, Args: append([]string{childArg}, args...),
		LogDir: filepath.Join(folder(t), "logs"), StopTimeout: 30_000}
}

func (c Config) log(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.LogDir, "out.log"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

func listen(t *testing.T) *net.TCPListener {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

// accept waits for a program's call.
func accept(t *testing.T, l *net.TCPListener) net.Conn {
	t.Helper()
	l.SetDeadline(time.Now().Add(time.Minute))
	c, err := l.Accept()
	if err != nil {
		t.Fatalf("the program did not call: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c
}

// dead waits for the end of the process at the other end.
func dead(t *testing.T, c net.Conn) {
	t.Helper()
	var ne net.Error
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.As(err, &ne) && ne.Timeout() {
		t.Errorf("a process of the tree lives: %v", err)
	}
}

type outcome struct {
	exit uint32
	err  error
}

// stopWhenCalled runs the program and asks for its stop after its call.
func stopWhenCalled(t *testing.T, c Config, l *net.TCPListener) (outcome, net.Conn) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan outcome, 1)
	ready := make(chan struct{})
	go func() {
		exit, err := Run(ctx, c, func() { close(ready) })
		ended <- outcome{exit, err}
	}()
	conn := accept(t, l)
	<-ready
	cancel()
	return <-ended, conn
}

func TestExitByItself(t *testing.T) {
	for _, want := range []uint32{0, 1, 7, 255} {
		c := config(t, "exit", string(appendUint(want)))
		exit, err := Run(t.Context(), c, func() {})
		if exit != want || (err != nil) != (want != 0) {
			t.Errorf("exit = %d, %v, want %d", exit, err, want)
		}
		if got := c.log(t); !strings.Contains(got, "to stdout\n") || !strings.Contains(got, "to stderr\n") {
			t.Errorf("log = %q", got)
		}
	}
}

func appendUint(n uint32) []byte { b, _ := json.Marshal(n); return b }

func TestStopBySignal(t *testing.T) {
	if wine.Detected() {
		t.Skip("console events never arrive on Wine")
	}
	for _, signal := range []string{CtrlBreak, CtrlC, ""} {
		l := listen(t)
		c := config(t, "signal", l.Addr().String())
		c.StopSignal = signal
		got, _ := stopWhenCalled(t, c, l)
		if got.exit != 0 || got.err != nil || !strings.Contains(c.log(t), "got ") {
			t.Errorf("%q: %+v, log %q", signal, got, c.log(t))
		}
	}
}

// Where no signal can be given the program is killed, soon.
func TestStopBySignalOnWine(t *testing.T) {
	if !wine.Detected() {
		t.Skip("signals arrive here")
	}
	l := listen(t)
	c := config(t, "signal", l.Addr().String())
	got, conn := stopWhenCalled(t, c, l)
	dead(t, conn)
	if got.err != nil || !strings.Contains(c.log(t), "could not ask the program to stop") {
		t.Errorf("%+v, log %q", got, c.log(t))
	}
}

func TestStopByStdin(t *testing.T) {
	l := listen(t)
	c := config(t, "stdin", l.Addr().String())
	c.StopSignal = StdinClose
	got, _ := stopWhenCalled(t, c, l)
	if got.exit != 3 || got.err != nil || !strings.Contains(c.log(t), "stdin closed\n") {
		t.Errorf("%+v, log %q", got, c.log(t))
	}
}

func TestStopByHTTP(t *testing.T) {
	l, addr := listen(t), ports.Address(t)
	c := config(t, "http", l.Addr().String(), addr)
	c.StopSignal, c.StopURL = HTTP, "http://"+addr+"/stop"
	got, _ := stopWhenCalled(t, c, l)
	if got.exit != 0 || got.err != nil || !strings.Contains(c.log(t), "POST /stop\n") {
		t.Errorf("%+v, log %q", got, c.log(t))
	}
}

func TestStopByKill(t *testing.T) {
	l := listen(t)
	c := config(t, "deaf", l.Addr().String())
	c.StopSignal = Kill
	got, grandchild := stopWhenCalled(t, c, l)
	dead(t, grandchild)
	if got.exit == 0 || got.err != nil {
		t.Errorf("%+v, want a killed program and no error", got)
	}
}

func TestDeafTreeIsKilled(t *testing.T) {
	l := listen(t)
	c := config(t, "deaf", l.Addr().String())
	c.StopTimeout = 200
	got, grandchild := stopWhenCalled(t, c, l)
	dead(t, grandchild)
	if got.err != nil || !strings.Contains(c.log(t), "did not stop in time") {
		t.Errorf("%+v, log %q", got, c.log(t))
	}
}

// What the program leaves behind goes with it, and does not hold the log open.
func TestLeftBehindIsKilled(t *testing.T) {
	l := listen(t)
	c := config(t, "leave", l.Addr().String())
	exit, err := Run(t.Context(), c, func() {})
	if exit != 5 || err == nil {
		t.Errorf("exit = %d, %v, want 5", exit, err)
	}
	dead(t, accept(t, l))
}

func TestPanicTextIsKept(t *testing.T) {
	c := config(t, "panic")
	exit, err := Run(t.Context(), c, func() {})
	if exit != 2 || err == nil || !strings.Contains(c.log(t), "panic: boom\n") || !strings.Contains(c.log(t), "goroutine 1") {
		t.Errorf("exit = %d, %v, log %q", exit, err, c.log(t))
	}
}

func TestEnvironmentAndSecrets(t *testing.T) {
	dir := folder(t)
	sealed, err := secret.NewBox(dir).SealMap(map[string]string{"TOKEN": "s3cret", "PLAIN": "overridden"})
	if err != nil {
		t.Fatal(err)
	}
	c := config(t, "environment", "PLAIN", "MINE", "TOKEN", "SHIPPER_TEST_INHERITED")
	c.SecretsFile, c.KeyDir, c.Dir = filepath.Join(dir, "secrets"), dir, dir
	c.Env = map[string]string{"PLAIN": "value", "MINE": "two words"}
	if err := acl.WriteProtected(c.SecretsFile, sealed, ""); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SHIPPER_TEST_INHERITED", "yes")
	if exit, err := Run(t.Context(), c, func() {}); exit != 0 || err != nil {
		t.Fatalf("exit = %d, %v", exit, err)
	}
	for _, want := range []string{"PLAIN=overridden\n", "MINE=two words\n", "TOKEN=s3cret\n", "SHIPPER_TEST_INHERITED=yes\n", "dir=" + dir} {
		if !strings.Contains(c.log(t), want) {
			t.Errorf("log %q lacks %q", c.log(t), want)
		}
	}
}

func TestStartFails(t *testing.T) {
	dir := folder(t)
	secrets := filepath.Join(dir, "secrets")
	if err := os.WriteFile(secrets, []byte("s3cret, not sealed"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Config){
		"executable": func(c *Config) { c.Executable += ".missing" },
		"folder":     func(c *Config) { c.Dir = filepath.Join(dir, "missing") },
		"secrets":    func(c *Config) { c.SecretsFile, c.KeyDir = secrets, dir },
	} {
		c := config(t, "exit", "0")
		spoil(&c)
		exit, err := Run(t.Context(), c, func() { t.Errorf("%s: ready", name) })
		if exit == 0 || err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: exit = %d, %v", name, exit, err)
		}
		if !strings.Contains(c.log(t), "shipper: ") {
			t.Errorf("%s: log %q does not tell", name, c.log(t))
		}
	}
}

func TestRotation(t *testing.T) {
	c := config(t, "write", "20000") // about 1.9 MB
	c.LogMaxBytes, c.LogKeep = 300<<10, 3
	if exit, err := Run(t.Context(), c, func() {}); exit != 0 || err != nil {
		t.Fatalf("exit = %d, %v", exit, err)
	}
	if !strings.HasSuffix(c.log(t), "the end\n") {
		t.Errorf("the last line is not in out.log")
	}
	var all []byte
	for _, name := range []string{"out.3.log", "out.2.log", "out.1.log", "out.log"} {
		b, err := os.ReadFile(filepath.Join(c.LogDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(b)) > c.LogMaxBytes {
			t.Errorf("%s has %d bytes, at most %d are allowed", name, len(b), c.LogMaxBytes)
		}
		all = append(all, b...)
	}
	if n := bytes.Count(all, []byte("line ")); n < 3*int(c.LogMaxBytes)*8/10/95 {
		t.Errorf("only %d lines are kept", n)
	}
	if entries, err := os.ReadDir(c.LogDir); err != nil || len(entries) != 4 {
		t.Errorf("files: %v, %v", entries, err)
	}
}

func TestLoad(t *testing.T) {
	abs := func(s string) string {
		if runtime.GOOS == "windows" {
			return `C:\` + s
		}
		return "/" + s
	}
	good := map[string]any{"name": "n", "executable": abs("x.exe"), "logDir": abs("logs"), "unknown": true}
	for name, tt := range map[string]struct {
		key   string
		value any
		bad   bool
	}{
		"good":                {"name", "n", false},
		"relative executable": {"executable", "x.exe", true},
		"relative logs":       {"logDir", "logs", true},
		"unknown signal":      {"stopSignal", "SIGTERM", true},
		"http without url":    {"stopSignal", "http", true},
		"negative timeout":    {"stopTimeout", -1, true},
		"endless logs":        {"logKeep", 1001, true},
		"wrong type":          {"args", "x", true},
	} {
		m := map[string]any{}
		for k, v := range good {
			m[k] = v
		}
		m[tt.key] = tt.value
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder(t), "wrap.json")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path)
		if (err != nil) != tt.bad {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (c.StopSignal != CtrlBreak || c.stopTimeout() != defaultStopTimeout || c.Dir != filepath.Dir(c.Executable)) {
			t.Errorf("%s: defaults %+v", name, c)
		}
	}
}

func TestStopURLStaysOnTheMachine(t *testing.T) {
	for url, good := range map[string]bool{
		"http://127.0.0.1:80/stop": true, "http://localhost/x": true, "http://[::1]:1/": true, "http://127.3.2.1/": true,
		"https://127.0.0.1/": false, "http://10.0.0.1/": false, "http://127.example.com/": false, "file:///x": false, "": false, "http://%": false,
	} {
		if err := checkStopURL(url); (err == nil) != good {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"name":"n","executable":"/x","logDir":"/l","stopSignal":"http","stopURL":"http://127.0.0.1/"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parse(b)
		if err == nil && (!filepath.IsAbs(c.Executable) || !filepath.IsAbs(c.LogDir) || c.LogMaxBytes <= 0 || c.StopTimeout <= 0) {
			t.Errorf("accepted %+v", c)
		}
	})
}
