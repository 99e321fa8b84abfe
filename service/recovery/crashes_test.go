package recovery

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const childEnv = "RECOVERY_TEST_CHILD" // DIR|how it ends

func TestMain(m *testing.M) {
	if child, ok := os.LookupEnv(childEnv); ok {
		dir, end, _ := strings.Cut(child, "|")
		live(dir, end)
		return
	}
	prepare()
	os.Exit(m.Run())
}

// found is what a run tells of the one before.
type found struct {
	Crash       *Report
	Maintenance bool
}

// live is a run of a service that ends in some way.
func live(dir, end string) {
	c, err := Watch(Options{Dir: dir, Name: "orders", Version: "1.2.3", LogFile: filepath.Join(dir, "orders.log"), Lines: 2, Keep: 2,
		Policy: Policy{Failures: 3}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(found{c.Last(), c.Supervisor("sync").Check(context.Background()) != nil})
	switch end {
	case "panics":
		go func() { panic("boom") }()
		select {}
	case "fatal":
		new(sync.Mutex).Unlock()
	case "killed":
		io.Copy(io.Discard, os.Stdin)
	case "fails":
		err = c.End(io.EOF)
	default:
		err = c.End(nil)
	}
	if err != nil {
		fmt.Println(err)
	}
}

func run(t *testing.T, dir, end string) (f found) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir+"|"+end)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(out).Decode(&f); err != nil {
		t.Errorf("a run that %s said nothing: %v\n%s", end, err, complaint.Bytes())
	}
	if end == "killed" {
		cmd.Process.Kill()
	}
	io.Copy(io.Discard, out)
	cmd.Wait()
	return f
}

// One run after another; each tells how the last one ended.
func TestCrashIsReportedByTheNextRun(t *testing.T) {
	dir := folder(t)
	if err := os.WriteFile(filepath.Join(dir, "orders.log"), []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		end, reason string // of this run, and what the next says of it
		in          string // the report
		maintenance bool   // the next
	}{
		{"ends", "", "", false},
		{"panics", "panic: boom", "goroutine ", false},
		{"killed", silent, "two\nthree\n", false},
		{"fatal", "fatal error in sync.(*Mutex).Unlock", "version: 1.2.3\n", true},
		{"fails", "", "", true},
		{"ends", "", "", true},
	}
	for i, step := range steps {
		f := run(t, dir, step.end)
		if i == 0 {
			continue
		}
		step = steps[i-1]
		if f.Maintenance != step.maintenance || (f.Crash == nil) != (step.reason == "") {
			t.Errorf("after a run that %s: %+v", step.end, f)
		} else if f.Crash != nil {
			checkReport(t, f.Crash, step.reason, step.in)
		}
	}
	if reports, err := filepath.Glob(filepath.Join(dir, "crash-*.txt")); err != nil || len(reports) != 2 {
		t.Errorf("%d reports are kept, want 2: %v", len(reports), err)
	}
}

func checkReport(t *testing.T, r *Report, reason, in string) {
	t.Helper()
	text, err := os.ReadFile(r.Path)
	if err != nil || r.Reason != reason || r.Version != "1.2.3" || r.Started.IsZero() ||
		!strings.Contains(string(text), in) || strings.Contains(string(text), "\none\n") {
		t.Errorf("%+v, %v\n%s", r, err, text)
	}
}

func TestRebootIsNoCrash(t *testing.T) {
	dir := folder(t)
	run(t, dir, "killed")
	path := filepath.Join(dir, markName)
	var mark running
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &mark)
	}
	if err != nil || !sameBoot(mark.Boot, bootID()) {
		t.Fatalf("%+v, %v", mark, err)
	}
	mark.Boot = time.Now().Add(-24 * time.Hour).UTC().Format(time.RFC3339)
	if b, err = json.Marshal(mark); err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if f := run(t, dir, "killed"); f.Crash != nil {
		t.Errorf("%+v", f.Crash)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil { // torn
		t.Fatal(err)
	}
	if f := run(t, dir, "ends"); f.Crash == nil || f.Crash.Reason != silent {
		t.Errorf("%+v", f)
	}
}

func TestLastLines(t *testing.T) {
	path := filepath.Join(folder(t), "x.log")
	long := strings.Repeat("x", maxTail)
	for text, want := range map[string]string{"": "", "a": "a", "a\nb\nc\n": "b\nc", "a\n" + long + "\nc\n": "c"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := lastLines(path, 2); got != want || err != nil {
			t.Errorf("%.20q: %.40q, %v", text, got, err)
		}
	}
	if _, err := lastLines(path+"-missing", 2); err == nil {
		t.Error("no error")
	}
}
