package report

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	hosts = []string{"web1", "web2-long"}
	noon  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	v1    = release.Release{Version: "1.4.1", Digest: release.Of([]byte("1"))}
	v2    = release.Release{Version: "1.4.2", Digest: release.Of([]byte("2"))}
)

// golden compares got with testdata/NAME.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("%s differs; -update writes it anew. Got:\n%s", path, got)
	}
}

// told is a record at a time after noon, in seconds.
func told(at float64, kind, host string, data any) journal.Record {
	raw, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return journal.Record{V: 1, Seq: int64(at*1000) + 1, Time: noon.Add(seconds(at)), Run: "20261122-120000-abc123", Type: kind, Host: host, Data: raw}
}

// beginning is a deploy up to its first step.
func beginning() []journal.Record {
	return []journal.Record{
		told(0, journal.TypeProgress, "", journal.Progress{What: "build", Total: 1}),
		told(0.5, journal.TypeLog, "", journal.Note{Text: "go build ./cmd/orders"}),
		told(3.1, journal.TypeBuild, "", journal.Build{Builder: "go", Version: "1.4.2", Digest: v2.Digest, Targets: []string{"windows/amd64"}, Bytes: 4_200_000, Seconds: 3.1}),
		told(4, journal.TypeHost, "web1", journal.HostInfo{Hostname: "WEB1", OS: "windows", Arch: "amd64", Action: "connected"}),
		told(4, journal.TypeHost, "web2-long", journal.HostInfo{Hostname: "WEB2", OS: "windows", Arch: "amd64", Action: "bootstrapped"}),
		told(4.1, journal.TypeRunStarted, "", journal.RunStarted{Verb: "deploy", Service: "orders", Environment: "prod", Release: v2, Strategy: "canary", Hosts: []string{"web1", "web2-long"}}),
		told(4.2, journal.TypeSession, "", journal.Note{Text: "taken on 2 hosts"}),
		told(5, journal.TypeProgress, "web1", journal.Progress{What: "push", Done: 0, Total: 4_000_000}),
		told(5, journal.TypeProgress, "web2-long", journal.Progress{What: "push", Done: 0, Total: 4_000_000}),
		told(6, journal.TypeProgress, "web1", journal.Progress{What: "push", Done: 1_000_000, Total: 4_000_000}),
		told(7, journal.TypePush, "web1", journal.Push{Files: 3, Sent: 1, Bytes: 13_400_000, Wire: 4_000_000, Seconds: 2}),
		told(7, journal.TypePush, "web2-long", journal.Push{Files: 3, Bytes: 13_400_000}),
		told(9, journal.TypeStarted, "web1", journal.SlotStarted{Slot: release.Green, Release: v2, PID: 4312, Port: 18081}),
		told(9, journal.TypeStarted, "web2-long", journal.SlotStarted{Slot: release.Blue, Release: v2, PID: 77, Port: 18080}),
		told(12, journal.TypeSmoke, "web1", journal.Smoke{Check: "http /healthz", OK: true, Detail: "GET /healthz: 200 in 3 ms (3 of 3)"}),
		told(12, journal.TypeSmoke, "web2-long", journal.Smoke{Check: "http /healthz", OK: true, Detail: "GET /healthz: 200 in 4 ms (3 of 3)"}),
		told(12, journal.TypeStep, "", journal.StepBegan{Batch: 1, Batches: 1, Step: 1, Steps: 6, What: "setWeight 5%"}),
		told(12.1, journal.TypeWeight, "web1", journal.WeightSet{Weight: 500, Slot: release.Green}),
		told(12.1, journal.TypeWeight, "web2-long", journal.WeightSet{Weight: 500, Slot: release.Blue}),
		told(13, journal.TypeStep, "", journal.StepBegan{Batch: 1, Batches: 1, Step: 2, Steps: 6, What: "pause 30s"}),
		told(17, journal.TypeMeasurement, "", journal.Measurement{Signal: "errors", Outcome: "Successful", Canary: journal.Arm{Requests: 50}, Stable: journal.Arm{Requests: 950, Errors: 1, Ratio: 0.00105}}),
	}
}

func goodEnd() []journal.Record {
	return append(beginning(),
		told(43, journal.TypeStep, "", journal.StepBegan{Batch: 1, Batches: 1, Step: 3, Steps: 6, What: "analysis"}),
		told(43, journal.TypeVerdict, "", journal.Verdict{Outcome: "Successful", Signal: "errors", Why: "5xx canary 0 % (0/500) vs stable 0.1 % (9/9500)", Step: "step 3/6", Elapsed: 31}),
		told(103, journal.TypePrepared, "web1", journal.Note{Text: "ready to commit"}),
		told(103.2, journal.TypeCommitted, "web1", journal.Committed{Slot: release.Green, Release: v2}),
		told(103.2, journal.TypeCommitted, "web2-long", journal.Committed{Slot: release.Blue, Release: v2}),
		told(103.5, journal.TypeResult, "", journal.Result{Verb: "deploy", State: "Promoted", Run: "20261122-120000-abc123", Release: v2}),
	)
}

func badEnd() []journal.Record {
	return append(beginning(),
		told(22, journal.TypeMeasurement, "", journal.Measurement{Signal: "errors", Outcome: "Failed", Why: "errors canary 3.1 % (31/1000) vs stable 0.2 % (6/3000), rule ≤ stable + 1 pp"}),
		told(22, journal.TypeVerdict, "", journal.Verdict{Outcome: "Failed", Signal: "errors", Why: "errors canary 3.1 % (31/1000) vs stable 0.2 % (6/3000), rule ≤ stable + 1 pp → Failed at step 2/6, 10 s after first traffic", Step: "step 2/6", Elapsed: 9.9}),
		told(22.1, journal.TypeUndone, "web1", journal.Undone{By: "controller", Why: "signal", Release: v1, Millis: 84}),
		told(22.1, journal.TypeUndone, "web2-long", journal.Undone{By: "guard", Why: "signal", Release: v1, Millis: 120}),
		told(22.5, journal.TypeWarning, "web2-long", journal.Note{Text: "service said:\nEvil\x1b[2J"}),
		told(23, journal.TypeResult, "", journal.Result{Verb: "deploy", State: "RolledBack", Exit: 3, Run: "20261122-120000-abc123", Release: v2,
			Error: "rolled back: 5xx canary 3.1 % | <b>", Hint: "look at the logs"}),
	)
}

func show(records []journal.Record, o Options) string {
	var out strings.Builder
	read := Terminal(&out, o)
	for _, r := range records {
		read(r)
	}
	return out.String()
}

func TestTerminalStory(t *testing.T) {
	golden(t, "good.txt", show(goodEnd(), Options{Hosts: hosts}))
	golden(t, "bad.txt", show(badEnd(), Options{Hosts: hosts}))
	golden(t, "verbose.txt", show(goodEnd(), Options{Verbose: true, Hosts: hosts}))
	for _, text := range []string{show(badEnd(), Options{Verbose: true, Width: 20})} {
		if strings.ContainsAny(text, "\x1b\r\t") {
			t.Errorf("escape codes where there is no terminal:\n%q", text)
		}
	}
}

// screen keeps what a terminal would show: it knows the two codes for
// redrawing, and drops colours.
func screen(t *testing.T, written string) string {
	t.Helper()
	var lines []string
	for rest := written; rest != ""; {
		switch {
		case strings.HasPrefix(rest, "\x1b["):
			end := strings.IndexAny(rest, "AJm")
			n := 0
			for _, c := range rest[2:end] {
				n = n*10 + int(c-'0')
			}
			if rest[end] == 'A' {
				if n > len(lines) {
					t.Fatalf("erases %d of %d lines", n, len(lines))
				}
				lines = lines[:len(lines)-n]
			}
			rest = rest[end+1:]
		default:
			end := strings.IndexByte(rest, '\n')
			line := rest[:end]
			for strings.Contains(line, "\x1b[") {
				from := strings.Index(line, "\x1b[")
				line = line[:from] + line[from+strings.IndexByte(line[from:], 'm')+1:]
			}
			lines, rest = append(lines, line), rest[end+1:]
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// TestTerminalBars looks at the screen in the middle of a push, of a pause,
// and at the end, when no bar may be left.
func TestTerminalBars(t *testing.T) {
	o := Options{TTY: true, Color: true, Width: 100, Hosts: hosts}
	all := goodEnd()
	golden(t, "bars-push.txt", screen(t, show(all[:10], o)))
	golden(t, "bars-build.txt", screen(t, show(append(all[:2:2], Tick(noon.Add(1500*time.Millisecond))), o)))
	golden(t, "bars-pause.txt", screen(t, show(append(beginning(), Tick(noon.Add(23*time.Second))), o)))
	if got, want := screen(t, show(all, o)), show(all, Options{Hosts: hosts}); got != want {
		t.Errorf("bars are left, or lines lost:\n%s", got)
	}
	narrow := show(all[:10], Options{TTY: true, Width: 30})
	for _, line := range strings.Split(screen(t, narrow), "\n") {
		if strings.Contains(line, "[") && len(line) >= 30 {
			t.Errorf("a bar wraps: %q", line)
		}
	}
}

func TestManyBarsStayOnTheScreen(t *testing.T) {
	var b bars
	for i := range 100 {
		b.read(told(1, journal.TypeProgress, string(rune('a'+i%26))+strings.Repeat("x", i/26), journal.Progress{What: "push", Done: 1, Total: 2}))
	}
	if got := len(b.lines(noon)); got != maxBars+1 {
		t.Errorf("%d lines", got)
	}
}

func TestJSONLines(t *testing.T) {
	var out strings.Builder
	read := JSON(&out)
	for _, r := range badEnd() {
		read(r)
	}
	read(journal.Record{Type: "x"})
	read(journal.Record{Type: "y", Data: json.RawMessage("{broken")})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(badEnd())+2 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, key := range []string{"v", "seq", "time", "run", "type", "host", "data"} {
			if _, ok := got[key]; !ok {
				t.Errorf("no %s in %s", key, line)
			}
		}
	}
}

func TestSummary(t *testing.T) {
	golden(t, "summary.md", Summary(badEnd()))
	if got := Summary(nil); !strings.Contains(got, "no end told") {
		t.Error(got)
	}
}

func TestStatusTable(t *testing.T) {
	since := noon.Add(-5 * time.Minute)
	run := &journal.RunState{ID: "20261122-115500-abc123", Verb: "deploy", State: "Running", Phase: "shifting", Release: v2, Since: since}
	lock := &journal.Session{Owner: "ann@ci", Address: "https://ci/1", Run: run.ID, Since: since, RemainingSeconds: 24}
	slots := func(green string) map[release.Slot]journal.SlotState {
		return map[release.Slot]journal.SlotState{
			release.Blue:  {Release: v1, Live: journal.Live{State: "running"}, Port: 18080},
			release.Green: {Release: v2, Live: journal.Live{State: green}, Port: 18081},
		}
	}
	weights := func(w release.Weight) *journal.Traffic {
		return &journal.Traffic{Leased: w > 0, Weights: map[release.Slot]release.Weight{release.Blue: release.Full - w, release.Green: w}}
	}
	head := Fleet{Service: "orders", Environment: "prod", State: "Running", Release: v1, Why: "step 1/6"}
	rows := []journal.Record{
		told(0, journal.TypeServiceState, "web1", journal.ServiceState{Known: true, Stable: release.Blue, Slots: slots("running"), Traffic: weights(500), Session: lock, Run: run}),
		told(0, journal.TypeServiceState, "web2", journal.ServiceState{Known: true, Stable: release.Blue, Slots: slots("running"), Traffic: weights(500), Session: lock, Run: run}),
	}
	golden(t, "status-running.txt", status(t, head, rows))

	old := &journal.RunState{ID: "20261120-115500-abc123", Verb: "deploy", State: "RolledBack", Release: v2, Since: noon.AddDate(0, 0, -2), Why: "5xx 3 %"}
	rows = []journal.Record{
		told(0, journal.TypeServiceState, "web1", journal.ServiceState{Known: true, Stable: release.Blue, Slots: slots("running"), Traffic: weights(0), Run: old, WarmSeconds: 700}),
		told(0, journal.TypeServiceState, "web2", journal.ServiceState{Known: true, Stable: release.Blue, Slots: slots("stopped"), Traffic: weights(0), Run: old, Behind: true, Frozen: "audit", Notes: []string{"restored from an image"}}),
		told(0, journal.TypeServiceState, "web3", journal.ServiceState{Error: "dial: connection refused"}),
		told(0, journal.TypeServiceState, "web4", journal.ServiceState{}),
		told(0, journal.TypeServiceState, "web5", journal.ServiceState{Known: true}),
	}
	golden(t, "status-mixed.txt", status(t, Fleet{Service: "orders", Environment: "prod", State: "RolledBack"}, rows))
}

func status(t *testing.T, f Fleet, rows []journal.Record) string {
	t.Helper()
	var out strings.Builder
	if err := Status(&out, f, rows, noon); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestHistoryTable(t *testing.T) {
	var out strings.Builder
	if err := History(&out, nil, time.UTC); err != nil || out.String() != "no runs yet\n" {
		t.Errorf("%v %q", err, out.String())
	}
	out.Reset()
	rows := []journal.Record{
		told(0, journal.TypeRun, "", journal.RunSummary{Run: "20261122-120000-abc123", Verb: "deploy", Owner: "ann@ci", Release: v1, Started: noon, Ended: noon.Add(252 * time.Second), State: "Promoted"}),
		told(0, journal.TypeRun, "", journal.RunSummary{Run: "20261122-130000-abc123", Verb: "deploy", Owner: "bob@laptop", Release: v2, Started: noon.Add(time.Hour), Ended: noon.Add(time.Hour + 23*time.Second), State: "RolledBack", Why: "rolled back: " + strings.Repeat("long ", 30)}),
		told(0, journal.TypeRun, "", journal.RunSummary{Run: "20261122-140000-abc123", Verb: "rollback", Owner: "bob@laptop", Started: noon.Add(2 * time.Hour)}),
	}
	if err := History(&out, rows, time.UTC); err != nil {
		t.Fatal(err)
	}
	golden(t, "history.txt", out.String())
}

func TestSizesAndTimes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1500: "2 kB", 13_400_000: "13.4 MB", 2_000_000_000: "2.0 GB"} {
		if got := bytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-1: "0 s", 84 * time.Millisecond: "84 ms", 3100 * time.Millisecond: "3.1 s", 42 * time.Second: "42 s", 245 * time.Second: "4 min 5 s", 2 * time.Hour: "2 h", 123 * time.Minute: "2 h 3 min"} {
		if got := span(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	if clock(-time.Second) != "00:00" || clock(62*time.Second) != "01:02" || clock(3723*time.Second) != "1:02:03" {
		t.Error("clock")
	}
}

// FuzzReaders: records come from hosts; nothing in them may reach a terminal
// as an escape code, and no reader may panic.
func FuzzReaders(f *testing.F) {
	for _, r := range badEnd() {
		f.Add(r.Type, r.Host, []byte(r.Data))
	}
	f.Add(journal.TypeServiceState, "h", []byte(`{"known":true,"stable":"blue","slots":{"blue":{}}}`))
	f.Fuzz(func(t *testing.T, kind, host string, data []byte) {
		r := journal.Record{Type: kind, Host: host, Data: data, Time: noon}
		var out strings.Builder
		Terminal(&out, Options{Verbose: true})(r)
		Terminal(&strings.Builder{}, Options{TTY: true, Color: true, Width: 10})(r)
		JSON(&strings.Builder{})(r)
		out.WriteString(Summary([]journal.Record{r}))
		for _, write := range []func() error{
			func() error { return Status(&out, Fleet{State: host}, []journal.Record{r}, noon) },
			func() error { return Locks(&out, []journal.Record{r}, noon) },
			func() error { return History(&out, []journal.Record{r}, time.UTC) },
			func() error { return Answer(&out, r) },
		} {
			if err := write(); err != nil {
				t.Fatal(err)
			}
		}
		if strings.ContainsAny(out.String(), "\x1b\x07\u009b\r") && utf8.ValidString(out.String()) {
			t.Fatalf("%q", out.String())
		}
	})
}

func TestWhatDiffersIsTold(t *testing.T) {
	got := show([]journal.Record{
		told(1, journal.TypeDelta, "", journal.Delta{Path: "orders.exe", Base: v1, Bytes: 71_475, Size: 13_906_944, Seconds: 0.6}),
		told(2, journal.TypePush, "web1", journal.Push{Files: 3, Sent: 1, Deltas: 1, Bytes: 14_000_000, Wire: 71_475, Seconds: 0.5}),
	}, Options{})
	for _, want := range []string{"orders.exe: 71 kB of 13.9 MB differ from ", ", found in 600 ms", "71 kB in 500 ms", "(what differs of 14.0 MB)"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}
