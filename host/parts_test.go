package host

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

func record(run string, seq int64, kind string) journal.Record {
	return journal.Record{V: 1, Seq: seq, Time: time.Unix(1000+seq, 0).UTC(), Run: run, Type: kind, Data: json.RawMessage(`{"text":"x"}`)}
}

func TestDiary(t *testing.T) {
	t.Parallel()
	d := newDiary(filepath.Join(t.TempDir(), "runs"))
	first := []journal.Record{record("a", 1, "x"), record("a", 2, "y")}
	for range 2 { // the same again, also by a guard that was restarted
		for range 2 {
			if err := d.append("a", first); err != nil {
				t.Fatal(err)
			}
		}
		d = newDiary(d.dir)
	}
	f, err := os.OpenFile(d.path("a"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"seq":3,"ty`) // a power cut
	f.Close()
	if err := d.append("a", append(first, record("a", 3, "z"))); err != nil {
		t.Fatal(err)
	}
	if err := d.append("b", []journal.Record{record("b", 10, "x")}); err != nil {
		t.Fatal(err)
	}
	for run, want := range map[string]string{"a": "1x 2y 3z", "": "10x", "*": "1x 3z 10x"} {
		records, err := d.Read(run)
		var got []string
		for _, r := range records {
			got = append(got, fmt.Sprint(r.Seq, r.Type))
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %v, %v", run, got, err)
		}
	}
	if _, err := d.Read("c"); rpc.CodeOf(err) != rpc.CodeNotFound {
		t.Errorf("unknown run: %v", err)
	}
	for _, bad := range []string{"../x", "a/b", "NUL", ".hidden", strings.Repeat("x", 200)} {
		if _, err := d.Read(bad); rpc.CodeOf(err) != rpc.CodeFailed {
			t.Errorf("run %q: %v", bad, err)
		}
	}
	big := record("a", 9, "big")
	big.Data = json.RawMessage(`"` + strings.Repeat("x", journal.MaxLine) + `"`)
	if err := d.append("a", []journal.Record{big}); err == nil {
		t.Error("a record without bound")
	}
	tell := func(f *journal.File) error { return f.Tell("a", "own", "web1", time.Unix(2000, 0), nil) }
	if err := d.to("a", tell); err != nil {
		t.Fatal(err)
	}
	if records, err := d.Read("a"); err != nil || len(records) != 4 || records[3].Seq != 4 || records[3].Type != "own" {
		t.Errorf("%+v, %v", records, err)
	}
}

func TestDiaryKeepsTheNewestRuns(t *testing.T) {
	t.Parallel()
	d := newDiary(t.TempDir())
	for i := range maxRuns + 3 {
		run := fmt.Sprintf("r%04d", i)
		if err := d.append(run, []journal.Record{record(run, 1, "x")}); err != nil {
			t.Fatal(err)
		}
		when := time.Unix(int64(i), 0)
		if err := os.Chtimes(d.path(run), when, when); err != nil {
			t.Fatal(err)
		}
	}
	records, err := d.Read("*")
	if err != nil || len(records) != maxRuns || records[0].Run != "r0003" {
		t.Errorf("%d runs, first %s, %v", len(records), records[0].Run, err)
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	w := words{Listen: "127.0.0.1:81", Port: 81, Slot: "blue", Version: "1.0", DataDir: "d", LogDir: "l", ConfigDir: "c"}
	tests := []struct {
		in, out string
		bad     bool
	}{
		{"{{.Listen}} {{.Port}} {{.Slot}} {{.Version}} {{.DataDir}} {{.LogDir}} {{.ConfigDir}}", "127.0.0.1:81 81 blue 1.0 d l c", false},
		{"plain", "plain", false},
		{"{{.Secret}}", "", true},
		{"{{", "", true},
		{strings.Repeat(`{{printf "%999999s" .Slot}}`, 5), "", true},
		{"{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}", "", true},
	}
	for _, word := range release.TemplateWords() {
		if _, known := w.byName()[word]; !known || len(w.byName()) != len(release.TemplateWords()) {
			t.Errorf("%s: the host knows %v", word, w.byName())
		}
	}
	for _, tt := range tests {
		r := release.Revision{Args: []string{tt.in}, Env: map[string]string{"A": tt.in}, Files: []release.RenderedFile{{To: "f", Data: []byte(tt.in)}}}
		got, err := render(r, w, nil)
		if (err != nil) != tt.bad {
			t.Errorf("%q: %v", tt.in, err)
		}
		if !tt.bad && (got.Args[0] != tt.out || got.Env["A"] != tt.out || string(got.Files[0].Data) != tt.out) {
			t.Errorf("%q: %q", tt.in, got.Args)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"orders": true, "a": true, "A-b_c.d": true, strings.Repeat("x", 80): true,
		"": false, ".guard": false, "..": false, "a/b": false, `a\b`: false, "a b": false, "a$": false, "NUL": false,
		"com1.x": false, "a.": false, strings.Repeat("x", 81): false, "ä": false,
	} {
		if err := checkName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestRevisionsThatLeaveTheirFolder(t *testing.T) {
	t.Parallel()
	s := &service{name: app}
	good := revision(release.Release{Version: "1", Digest: release.Of(nil)})
	for name, spoil := range map[string]func(*release.Revision){
		"executable": func(r *release.Revision) { r.Executable = "../x.exe" },
		"absolute":   func(r *release.Revision) { r.Executable = `C:\x.exe` },
		"file":       func(r *release.Revision) { r.Files = []release.RenderedFile{{To: "../../state.json"}} },
		"device":     func(r *release.Revision) { r.Files = []release.RenderedFile{{To: "aux.txt"}} },
		"twice":      func(r *release.Revision) { r.Files = []release.RenderedFile{{To: "a"}, {To: "A"}} },
		"mode":       func(r *release.Revision) { r.Mode = "" },
		"service":    func(r *release.Revision) { r.Service = "other" },
	} {
		bad := good
		spoil(&bad)
		if s.checkRevision(bad) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := s.checkRevision(good); err != nil {
		t.Error(err)
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in    string
		lines int
		want  string
	}{{"a\nb\nc\n", 2, "b\nc\n"}, {"a\nb\nc", 2, "b\nc"}, {"a\n", 5, "a\n"}, {"", 1, ""}, {"\n\n", 1, "\n"}} {
		if got := string(lastOf([]byte(tt.in), tt.lines)); got != tt.want {
			t.Errorf("%q, %d: %q", tt.in, tt.lines, got)
		}
	}
}

func TestStrangersDoNotGetIn(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	b, err := os.ReadFile(controlPath(m.layout))
	if err != nil {
		t.Fatal(err)
	}
	var c control
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(controlPath(m.layout)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("control.json: %v, %v", info.Mode(), err)
	}
	for name, say := range map[string]func(net.Conn){
		"nothing":     func(c net.Conn) { c.Close() },
		"noise":       func(c net.Conn) { c.Write(make([]byte, 64)) },
		"wrong token": func(c net.Conn) { greet(context.Background(), c, "guess", nil) },
	} {
		conn, err := net.Dial("tcp", c.Address)
		if err != nil {
			t.Fatal(err)
		}
		say(conn)
		b, _ := io.ReadAll(conn)
		if len(b) > nonceSize {
			t.Errorf("%s was answered %d bytes", name, len(b))
		}
		conn.Close()
	}
}

func TestImpostorLearnsNothing(t *testing.T) {
	t.Parallel()
	layout := DefaultLayout(t.TempDir())
	if err := os.MkdirAll(layout.Guard(), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b, err := json.Marshal(control{Protocol: 1, Address: l.Addr().String(), Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(controlPath(layout), b, 0o600); err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		got := make([]byte, 64)
		conn.Write(make([]byte, nonceSize))
		io.ReadFull(conn, got)
		conn.Write(make([]byte, 32))
		rest, _ := io.ReadAll(conn)
		heard <- string(got) + string(rest)
	}()
	if conn, err := DialGuard(context.Background(), layout); err == nil {
		conn.Close()
		t.Error("an impostor was believed")
	}
	if got := <-heard; strings.Contains(got, "secret") || len(got) != 64 {
		t.Errorf("it heard %d bytes", len(got))
	}
}

func TestIdentitiesStayTheSame(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]func() (string, error){"machine": MachineID, "boot": BootID} {
		first, err := id()
		second, again := id()
		if err != nil || again != nil || first == "" || first != second {
			t.Errorf("%s: %q (%v), then %q (%v)", name, first, err, second, again)
		}
		t.Logf("%s %s", name, first)
	}
}
