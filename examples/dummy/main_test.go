package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv("DUMMY_TEST_RUN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

type program struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Scanner
	said  []string
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(os.Args[0], args...)}
	p.cmd.Env = append(os.Environ(), "DUMMY_TEST_RUN=1")
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	p.until(t, "ready")
	return p
}

// until reads what the program says up to a line with the given beginning,
// and returns the rest of that line.
func (p *program) until(t *testing.T, begin string) string {
	t.Helper()
	for p.out.Scan() {
		p.said = append(p.said, p.out.Text())
		if rest, ok := strings.CutPrefix(p.out.Text(), begin); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("it never said %q, only %q", begin, p.said)
	return ""
}

func (p *program) has(begin string) string {
	for _, line := range p.said {
		if rest, ok := strings.CutPrefix(line, begin+" "); ok {
			return rest
		}
	}
	return ""
}

func TestStopsByTheEndOfStdin(t *testing.T) {
	p := start(t, "-stop", "stdin", "-exit", "7")
	p.stdin.Close()
	p.until(t, "stopped by the end of stdin")
	p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != 7 {
		t.Errorf("exit %d", got)
	}
}

func TestStopsByHTTP(t *testing.T) {
	p := start(t, "-stop", "http", "-listen", "127.0.0.1:0")
	url := "http://" + p.has("listening")
	resp, err := http.Get(url + "/healthz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("health: %v", err)
	}
	resp.Body.Close()
	if resp, err := http.Post(url+"/stop", "", nil); err == nil {
		resp.Body.Close()
	}
	p.until(t, "stopped by http")
}

func TestObeysSignalsOnlyIfTold(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an interrupt cannot be sent there without a console")
	}
	p := start(t, "-stop", "signal")
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	p.until(t, "stopped by interrupt")
	// Two interrupts, of which none may count; then it ends another way.
	deaf := start(t, "-stop", "stdin")
	for range 2 {
		if err := deaf.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
	}
	deaf.stdin.Close()
	deaf.until(t, "stopped by the end of stdin")
}

func TestEndsByItself(t *testing.T) {
	p := start(t, "-stop", "never", "-after", "1ms", "-lines", "3")
	p.until(t, "stopped by time")
	if p.has("line") != "1" || len(p.said) != 5 {
		t.Errorf("said %q", p.said)
	}
}

func TestChildrenOutliveIt(t *testing.T) {
	p := start(t, "-children", "1", "-stop", "stdin")
	pid, err := strconv.Atoi(p.has("child"))
	if err != nil {
		t.Fatal(err)
	}
	p.stdin.Close()
	p.until(t, "stopped")
	p.cmd.Wait()
	child, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Kill(); err != nil {
		t.Errorf("the child is gone: %v", err)
	}
}

func TestRefusesFlags(t *testing.T) {
	none := func(string) string { return "" }
	for _, args := range [][]string{{"-stop", "magic"}, {"-exit", "x"}, {"-unknown"}} {
		if _, err := parse(args, none); err == nil {
			t.Errorf("took %v", args)
		}
	}
}
