package router

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// logged are the lines of a service's access log.
func logged(t *testing.T, dir string) (lines []map[string]any) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "access", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", s.Text(), err)
		}
		lines = append(lines, line)
	}
	return lines
}

// One line per request tells how it ended and in which trace, and nothing of
// what is secret in it; the instance sees the same trace.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	const known = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	var sawParent, sawState atomic.Value
	r := start(t, Options{})
	route := r.route(serve(t, func(w http.ResponseWriter, req *http.Request) {
		sawParent.Store(req.Header.Get("traceparent"))
		sawState.Store(req.Header.Get("tracestate"))
		if req.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("short"))
	}), "127.0.0.1:1", 0)
	route.Canary = "" // green only waits
	route.AccessLog = rpc.AccessLog{On: true}
	r.put(route)

	ask := func(path, parent string) string {
		req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, r.url(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer s3cret")
		req.Header.Set("Cookie", "session=s3cret")
		req.Header.Set("Referer", "http://elsewhere/?token=s3cret")
		req.Header.Set("User-Agent", `agent "007"`)
		req.Header.Set("Tracestate", "vendor=1")
		if parent != "" {
			req.Header.Set("Traceparent", parent)
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
		}
		return sawParent.Load().(string)
	}
	if got := ask("/kept?password=s3cret", known); got != known || sawState.Load() != "vendor=1" {
		t.Errorf("a trace arrives as %q with state %q", got, sawState.Load())
	}
	for _, wrong := range []string{"", "00-zz", strings.Replace(known, "00-", "ff-", 1)} {
		got := ask("/begun", wrong)
		if _, ok := parseTrace(got); !ok || got == wrong || sawState.Load() != "" {
			t.Errorf("after %q the instance sees %q with state %q", wrong, got, sawState.Load())
		}
	}
	ask("/abort", known)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	lines := logged(t, r.dir)
	if len(lines) != 5 {
		t.Fatalf("%d lines, want 5", len(lines))
	}
	first := lines[0]
	for key, want := range map[string]any{
		"service": name, "slot": "blue", "method": "GET", "host": r.listen, "path": "/kept", "proto": "HTTP/1.1",
		"status": float64(418), "bytes": float64(5), "outcome": "answered", "agent": `agent "007"`,
		"trace": "4bf92f3577b34da6a3ce929d0e0e4736",
	} {
		if first[key] != want {
			t.Errorf("%s is %v, want %v", key, first[key], want)
		}
	}
	if last := lines[4]; last["outcome"] != "aborted" || last["status"] != float64(502) {
		t.Errorf("of an abort: %v", last)
	}
	text, err := os.ReadFile(filepath.Join(r.dir, "access", name+".jsonl"))
	if err != nil || strings.Contains(string(text), "s3cret") {
		t.Errorf("a secret is in the log, %v", err)
	}
}

// Without a log a request is left as it is.
func TestNoLogNoTrace(t *testing.T) {
	t.Parallel()
	r := behind(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.Header.Get("traceparent")))
	})
	if _, got := r.get("/"); got != "" {
		t.Errorf("trace %q", got)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "access")); !os.IsNotExist(err) {
		t.Errorf("a log nobody asked for: %v", err)
	}
}

// A refused request is told too, and a change of the route changes the log.
func TestAccessLogComesAndGoes(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	route := r.route(backend(t, "blue"), "", 0)
	r.put(route)
	r.get("/before")
	route.AccessLog.On = true
	route.Stable = ""
	r.put(route)
	if code, _ := r.get("/refused"); code != http.StatusServiceUnavailable {
		t.Errorf("without a release: %d", code)
	}
	route.AccessLog = rpc.AccessLog{}
	r.put(route)
	r.get("/after")
	r.eventually("written", func() bool {
		info, err := os.Stat(filepath.Join(r.dir, "access", name+".jsonl"))
		return err == nil && info.Size() > 0
	})
	lines := logged(t, r.dir)
	if len(lines) != 1 || lines[0]["path"] != "/refused" || lines[0]["status"] != float64(503) || lines[0]["outcome"] != "refused" {
		t.Errorf("%v", lines)
	}
}

// A disk that does not come to it costs lines, which are counted, and never a
// request its time.
func TestAccessLogNeverWaits(t *testing.T) {
	t.Parallel()
	var dropped atomic.Int64
	l := &accessLog{lines: make(chan access, 2), dropped: &dropped} // nobody writes
	for range 5 {
		l.add(access{})
	}
	if dropped.Load() != 3 {
		t.Errorf("%d lines dropped, want 3", dropped.Load())
	}
}

// Whatever a client writes, a line is one JSON object on one line, and not long.
func FuzzAccessLine(f *testing.F) {
	f.Add("GET", "shop", "/path", "agent")
	f.Add("G\"T", "\\", "/\n\u2028\xff", strings.Repeat("\x00", 3000))
	f.Fuzz(func(t *testing.T, method, host, path, agent string) {
		a := access{
			time: time.Unix(1, 0), service: "orders", slot: release.Blue, client: netip.MustParseAddr("::1"),
			method: method, host: host, path: path, agent: agent, grpc: 3, took: time.Millisecond,
		}
		line := string(a.append(nil))
		var back map[string]any
		if err := json.Unmarshal([]byte(line), &back); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if strings.Count(line, "\n") != 1 || len(line) > 20_000 || back["ms"] != float64(1) || back["client"] != "::1" {
			t.Errorf("%q", line)
		}
		if plain(path) && len(path) <= maxLogPath && path != "" && back["path"] != path {
			t.Errorf("path %q became %q", path, back["path"])
		}
	})
}

func TestTraceParent(t *testing.T) {
	t.Parallel()
	const id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for s, ok := range map[string]bool{
		"00-" + id + "-" + parent + "-01":                      true,
		"00-" + id + "-" + parent + "-ff":                      true,
		"01-" + id + "-" + parent + "-01":                      true,
		"01-" + id + "-" + parent + "-01-more":                 true,
		"00-" + id + "-" + parent + "-01-more":                 false,
		"01-" + id + "-" + parent + "-01.more":                 false,
		"ff-" + id + "-" + parent + "-01":                      false,
		"00-" + strings.ToUpper(id) + "-" + parent + "-01":     false,
		"00-" + strings.Repeat("0", 32) + "-" + parent + "-01": false,
		"00-" + id + "-" + strings.Repeat("0", 16) + "-01":     false,
		"00-" + id + "-" + parent:                              false,
		"00-" + id + "-" + parent + "-0x":                      false,
		"":                                                     false,
		"00_" + id + "_" + parent + "_01":                      false,
		"00-" + id[:31] + "g-" + parent + "-01":                false,
		"00-" + id + "-" + parent + "-01 ":                     false,
	} {
		if got, is := parseTrace(s); is != ok || ok && got != id {
			t.Errorf("%q: %q, %v", s, got, is)
		}
	}
	two := http.Header{"Traceparent": {"00-" + id + "-" + parent + "-01", "00-" + id + "-" + parent + "-01"}}
	if trace(two); len(two["Traceparent"]) != 1 || strings.Contains(two.Get("traceparent"), id) {
		t.Errorf("two parents become %v", two)
	}
	a, b := http.Header{}, http.Header{}
	if trace(a) == trace(b) {
		t.Error("two requests have one trace")
	}
}
