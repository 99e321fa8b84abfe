package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// instance is a run of the program whose log is a file.
type instance struct {
	t       *testing.T
	log     string
	cmd     *exec.Cmd
	ended   chan struct{}
	from    int // of the log, where this run begins
	address string
}

// folder is TempDir for Wine, which fails to clean that up.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "orders test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// flags of a program that works in dir, and looks at its orders all the time.
func flags(dir string) []string {
	return []string{asProgram, "-listen", "127.0.0.1:0", "-sync", "20ms", "-log", filepath.Join(dir, "orders.log"), "-data", filepath.Join(dir, "orders.jsonl")}
}

func begin(t *testing.T, dir string, env ...string) *instance {
	t.Helper()
	i := &instance{t: t, log: filepath.Join(dir, "orders.log"), ended: make(chan struct{})}
	i.from = len(i.read())
	i.cmd = exec.Command(os.Args[0], flags(dir)...)
	i.cmd.Env = append(os.Environ(), env...)
	if err := i.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(i.ended); i.cmd.Wait() }()
	t.Cleanup(func() { i.cmd.Process.Kill(); <-i.ended })
	i.address = i.await(`address"?[=:]"?(127[0-9.:]+)`)
	return i
}

func (i *instance) read() string {
	b, _ := os.ReadFile(i.log)
	return string(b[min(len(b), i.from):])
}

// await waits until the log of this run matches, and gives what the group did.
func (i *instance) await(pattern string) string {
	i.t.Helper()
	re := regexp.MustCompile(pattern)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); <-tick.C {
		if m := re.FindStringSubmatch(i.read()); m != nil {
			return m[len(m)-1]
		}
	}
	i.t.Fatalf("no %s in the log:\n%s", pattern, i.read())
	return ""
}

// end waits for the process, and gives its exit code.
func (i *instance) end() int {
	i.t.Helper()
	select {
	case <-i.ended:
	case <-time.After(time.Minute):
		i.t.Fatalf("it does not end:\n%s", i.read())
	}
	return i.cmd.ProcessState.ExitCode()
}

func (i *instance) get(path string) (int, string) {
	i.t.Helper()
	resp, body := call(i.t, "GET", "http://"+i.address+path, "")
	return resp.StatusCode, body
}

// looks is the number that the last or first look of this run logged.
func (i *instance) looks(last bool) int {
	i.t.Helper()
	all := regexp.MustCompile(`looks"?[=:](\d+)`).FindAllStringSubmatch(i.read(), -1)
	if len(all) == 0 {
		return 0
	}
	at := 0
	if last {
		at = len(all) - 1
	}
	n, err := strconv.Atoi(all[at][1])
	if err != nil {
		i.t.Error(err)
	}
	return n
}

// crash sends the request by which the process panics.
func (i *instance) crash() {
	i.t.Helper()
	i.strike()
	if exit := i.end(); exit != 2 {
		i.t.Errorf("exit %d after a panic", exit)
	}
}

func (i *instance) strike() {
	i.t.Helper()
	i.await(`(?s)looks"?[=:].*looks"?[=:]`)
	if resp, err := http.Get("http://" + i.address + "/orders"); err == nil {
		resp.Body.Close()
		i.t.Error("answered instead of crashing")
	}
}

// reports are the crash reports so far.
func reports(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "crashes", "crash-*.txt"))
	if err != nil {
		t.Error(err)
	}
	return all
}

// The whole of crash recovery, as whoever starts the process again sees it: a
// crash is reported by the next run, the work goes on where it was, work that
// hangs ends the process, and after five failures of either kind the service
// runs in maintenance mode and says so.
func TestCrashesAndHangsEndInMaintenance(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	first := begin(t, dir, "ORDERS_CRASH_AFTER=1")
	first.crash()
	before := first.looks(true)
	second := begin(t, dir, "ORDERS_CRASH_AFTER=1")
	second.await(`the last run crashed.*reason="panic: told to crash by ORDERS_CRASH_AFTER.*event_id=5`)
	second.crash()
	if now := second.looks(false); now <= before {
		t.Errorf("%d looks before the crash, %d after it", before, now)
	}
	all := reports(t, dir)
	if len(all) != 1 {
		t.Fatalf("reports: %v", all)
	}
	if text, err := os.ReadFile(all[0]); err != nil || !strings.Contains(string(text), "goroutine ") || !strings.Contains(string(text), "looks=") {
		t.Errorf("%v: %s", err, text)
	}
	for range 3 {
		hung := begin(t, dir, "ORDERS_HANG_SYNC=20ms")
		hung.await(`work hangs.*event_id=6`)
		if exit := hung.end(); exit != 1 || !strings.Contains(hung.read(), "hung and does not end") {
			t.Errorf("exit %d:\n%s", exit, hung.read())
		}
	}
	last := begin(t, dir)
	last.await(`maintenance mode.*event_id=8`)
	if status, body := last.get("/readyz"); status != 503 || !strings.Contains(body, "maintenance mode") {
		t.Errorf("ready: %d %s", status, body)
	}
	if status, _ := last.get("/orders"); status != 200 {
		t.Errorf("orders: %d", status)
	}
	if strings.Contains(last.read(), "synced") {
		t.Errorf("works in maintenance mode:\n%s", last.read())
	}
}
