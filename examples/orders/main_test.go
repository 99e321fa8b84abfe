package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// asProgram is the first argument by which the test binary stands in for the
// program; NAME=value pairs for its environment may follow, as the service
// manager of Wine gives none.
const asProgram = "-orders-test-run"

func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != asProgram {
		prepare()
		os.Exit(m.Run())
	}
	args := os.Args[2:]
	for len(args) > 0 && strings.Contains(args[0], "=") {
		name, value, _ := strings.Cut(args[0], "=")
		os.Setenv(name, value)
		args = args[1:]
	}
	os.Args = append(os.Args[:1], args...)
	main()
}

// start runs the program with the given environment and returns its URL.
func start(t *testing.T, env ...string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], asProgram, "-listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), append(env, "SHIPPER_SLOT=blue")...)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if m := regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			go io.Copy(io.Discard, log)
			return cmd, "http://" + m[1]
		}
	}
	t.Fatal("the program ended without serving")
	return nil, ""
}

func call(t *testing.T, method, url, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestServesAndStops(t *testing.T) {
	cmd, url := start(t)
	resp, body := call(t, "GET", url+"/version", "")
	if resp.Header.Get("X-Orders-Version") != "dev" || resp.Header.Get("X-Slot") != "blue" || !strings.Contains(body, `"slot":"blue"`) {
		t.Errorf("version: %v %s", resp.Header, body)
	}
	resp, body = call(t, "POST", url+"/orders", `{"item":"bolt","quantity":4}`)
	var o order
	if err := json.Unmarshal([]byte(body), &o); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("created %d %s: %v", resp.StatusCode, body, err)
	}
	if resp, _ := call(t, "DELETE", url+"/orders/"+o.ID, ""); resp.StatusCode != http.StatusNoContent {
		t.Errorf("cancelled: %d", resp.StatusCode)
	}
	if _, body := call(t, "GET", url+"/orders/"+o.ID, ""); !strings.Contains(body, `"cancelled":true`) {
		t.Errorf("order: %s", body)
	}
	if _, body := call(t, "GET", url+"/orders", ""); !strings.Contains(body, o.ID) {
		t.Errorf("list: %s", body)
	}
	if runtime.GOOS == "windows" {
		return // an interrupt cannot be sent there without a console
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestAnswersOfTheAPI(t *testing.T) {
	_, url := start(t)
	tests := []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/orders/none", "", 404},
		{"DELETE", "/orders/none", "", 404},
		{"POST", "/orders", "{", 400},
		{"POST", "/orders", `{"item":"","quantity":1}`, 400},
		{"POST", "/orders", `{"item":"x","quantity":0}`, 400},
		{"POST", "/orders", `{"item":"x","quantity":1,"more":1}`, 400},
		{"POST", "/orders", `{"item":"` + strings.Repeat("x", maxBody) + `"}`, 400},
		{"PUT", "/orders", "", 405},
		{"GET", "/healthz", "", 200},
		{"GET", "/readyz", "", 200},
		{"GET", "/other", "", 404},
	}
	for _, tt := range tests {
		if resp, body := call(t, tt.method, url+tt.path, tt.body); resp.StatusCode != tt.want {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, resp.StatusCode, body)
		}
	}
}

func TestUnhealthyStillServes(t *testing.T) {
	_, url := start(t, "ORDERS_UNHEALTHY=true")
	if resp, _ := call(t, "GET", url+"/healthz", ""); resp.StatusCode != 503 {
		t.Errorf("health %d", resp.StatusCode)
	}
	if resp, _ := call(t, "GET", url+"/orders", ""); resp.StatusCode != 200 {
		t.Errorf("orders %d", resp.StatusCode)
	}
}

func TestRefusesToRun(t *testing.T) {
	none := func(string) string { return "" }
	for _, args := range [][]string{{"-nothing"}, {"instal"}, {"-sync", "1s", "install"}} {
		if _, err := parseConfig(args, none); err == nil || !strings.Contains(err.Error(), "orders -h") {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, err := parseConfig([]string{"install", "-sync", "1s"}, none); err != nil {
		t.Error(err)
	}
	if _, err := parseConfig(nil, func(name string) string { return map[string]string{"ORDERS_FAIL_RATIO": "x"}[name] }); err == nil {
		t.Error("took a ratio that is none")
	}
	for _, flag := range []string{"-data", "-settings", "-cert"} {
		cmd := exec.Command(os.Args[0], asProgram, "-listen", "127.0.0.1:0", flag, filepath.Join(t.TempDir(), "no", "file"))
		if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "error: ") {
			t.Errorf("took a file that is not there for %s: %v: %s", flag, err, out)
		}
	}
	cmd := exec.Command(os.Args[0], asProgram, "-listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "ORDERS_FAIL_START=1")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "error: told to fail by ORDERS_FAIL_START") {
		t.Errorf("started although told not to: %v: %s", err, out)
	}
}

// All that the kit brings, seen from outside: numbers, settings, and
// a remote control that changes some and refuses others, twice in a row.
func TestTheKitFromOutside(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("an interrupt cannot be sent there without a console")
	}
	dir := t.TempDir()
	settings := filepath.Join(dir, "settings.json")
	if err := os.WriteFile(settings, []byte(`{"max_connections": 60}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for run := 1; run <= 2; run++ {
		cmd, url := start(t, "ORDERS_SETTINGS="+settings, "ORDERS_CONTROL="+filepath.Join(dir, "run"))
		call(t, "POST", url+"/orders", `{"item":"bolt","quantity":4}`)
		if _, body := call(t, "GET", url+"/metrics", ""); !strings.Contains(body, "orders_taken_total 1") || !strings.Contains(body, `service_state{state="RUNNING"} 1`) {
			t.Errorf("metrics: %s", body)
		}
		if _, body := call(t, "GET", url+"/readyz", ""); !strings.Contains(body, `"role":"stable"`) || !strings.Contains(body, `"name":"settings"`) {
			t.Errorf("ready: %s", body)
		}
		for command, want := range map[string]bool{"SET log_level=debug": true, "SET max_connections=10": false, "RELOAD": true, "STATUS": true} {
			out, err := control(dir, command)
			if (err == nil) != want {
				t.Errorf("%s: %v: %s", command, err, out)
			}
		}
		if out, err := control(dir, "STOP"); err != nil {
			t.Errorf("stop: %v: %s", err, out)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("stopped with %v", err)
		}
	}
}

// control drives the running program as an operator would, whose environment
// names the log and the data of the service: a verb touches neither.
func control(dir, command string) ([]byte, error) {
	cmd := exec.Command(os.Args[0], append([]string{asProgram, "control", "-dir", filepath.Join(dir, "run"), "-slot", "blue"}, strings.Fields(command)...)...)
	missing := filepath.Join(dir, "none", "file")
	cmd.Env = append(os.Environ(), "ORDERS_LOG="+missing, "ORDERS_DATA="+missing, "ORDERS_CERT="+missing)
	return cmd.CombinedOutput()
}
