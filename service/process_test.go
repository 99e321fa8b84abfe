//go:build linux

package service

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// running is a child that serves.
type running struct {
	t     *testing.T
	cmd   *exec.Cmd
	url   string
	lines chan string // of its log, in order
	log   strings.Builder
}

// launch is a child's command.
func launch(t *testing.T, kind string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], childArg, kind)
	cmd.Env = append(os.Environ(), append([]string{"SHIPPER_LISTEN=127.0.0.1:0"}, env...)...)
	return cmd
}

func run(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	r := &running{t: t, cmd: cmd, lines: make(chan string, 10_000)}
	go func() {
		defer close(r.lines)
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			r.lines <- lines.Text()
		}
	}()
	r.url = "http://" + r.await(`address"?[=:]"?(127[0-9.:]+)`)
	return r
}

// await reads the log until a line matches, and gives what its group matched.
func (r *running) await(pattern string) string {
	r.t.Helper()
	for line := range r.lines {
		r.log.WriteString(line + "\n")
		if m := regexp.MustCompile(pattern).FindStringSubmatch(line); m != nil {
			return m[len(m)-1]
		}
	}
	r.t.Fatalf("the child ended before it logged %s:\n%s", pattern, r.log.String())
	return ""
}

func (r *running) get(path string) string {
	r.t.Helper()
	resp, err := http.Get(r.url + path)
	if err != nil {
		return "error: " + err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Error(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(b))
}

func (r *running) signal(s os.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// wait gives the exit code and the whole log.
func (r *running) wait() (int, string) {
	for line := range r.lines {
		r.log.WriteString(line + "\n")
	}
	r.cmd.Wait()
	return r.cmd.ProcessState.ExitCode(), r.log.String()
}

// slow is a request that the child is working on.
type slow struct {
	net.Conn
	r *bufio.Reader
}

func (r *running) beginSlow() slow {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
	s := slow{conn, bufio.NewReader(conn)}
	if line, err := s.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		r.t.Fatalf("%q, %v", line, err)
	}
	if _, err := s.r.ReadString('\n'); err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (s slow) finish(t *testing.T) string {
	t.Helper()
	if _, err := s.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(s.r, nil)
	if err != nil {
		return "error: " + err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", string(b))
}

// In a console each of the signals ends the service, after what is in flight.
func TestSignalsDrain(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		r := run(t, launch(t, "serve", "RUNTIME_MODE=debug"))
		if got := r.get("/"); got != "200 debug stable" {
			t.Errorf("answered %s", got)
		}
		s := r.beginSlow()
		r.signal(sig)
		r.await("to=STOPPING")
		if got := s.finish(t); got != "200 at last <nil>" {
			t.Errorf("%v: in flight: %s", sig, got)
		}
		if code, log := r.wait(); code != 0 || !strings.Contains(log, "to=STOPPED") || !strings.Contains(log, "asked to stop by "+sig.String()) {
			t.Errorf("%v: exit %d: %s", sig, code, log)
		}
	}
}

// A person who presses ctrl-c twice does not want to wait.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	r := run(t, launch(t, "serve"))
	r.beginSlow()
	r.signal(os.Interrupt)
	r.await("to=STOPPING")
	r.signal(os.Interrupt)
	if code, log := r.wait(); code != -1 || strings.Contains(log, "STOPPED") {
		t.Errorf("exit %d: %s", code, log)
	}
}

// What does not stop in time is ended, with a word about it. (The child's
// drain time is 0.1 s; ten seconds more are given to every app.)
func TestFailuresAreTold(t *testing.T) {
	t.Parallel()
	out, err := launch(t, "fail").CombinedOutput()
	if exit := exitOf(err); exit != 1 || !strings.Contains(string(out), "error: told to fail") {
		t.Errorf("exit %d: %s", exit, out)
	}
	if out, err = launch(t, "serve", "RUNTIME_MODE=both").CombinedOutput(); exitOf(err) != 1 || !strings.Contains(string(out), "want debug or service") {
		t.Errorf("%v: %s", err, out)
	}
	cmd := launch(t, "serve")
	cmd.Args = append(cmd.Args, "control", "NONSENSE", "too", "many")
	if out, err = cmd.CombinedOutput(); exitOf(err) != 2 || !strings.Contains(string(out), "wrong usage") {
		t.Errorf("%v: %s", err, out)
	}
}

func exitOf(err error) int {
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.ExitCode()
	}
	return 0
}

// In service mode logs are JSON with who wrote them, and operators' events.
func TestServiceLogs(t *testing.T) {
	t.Parallel()
	r := run(t, launch(t, "serve", "RUNTIME_MODE=service", "SHIPPER_SLOT=blue", "SHIPPER_VERSION=1.2.3"))
	if got := r.get("/"); got != "200 daemon stable" {
		t.Errorf("answered %s", got)
	}
	r.signal(syscall.SIGTERM)
	code, log := r.wait()
	for _, want := range []string{`"service":"kit-test"`, `"version":"1.2.3"`, `"slot":"blue"`, `"to":"RUNNING"`, `"event_id":1`, `"event_id":2`} {
		if !strings.Contains(log, want) {
			t.Errorf("exit %d, no %s in %s", code, want, log)
		}
	}
}
