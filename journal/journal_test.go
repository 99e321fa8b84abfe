package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// rec is the n-th record of a run.
func rec(n int64, kind, host string) Record {
	return Record{V: Version, Seq: n, Time: t0.Add(time.Duration(n) * time.Second), Run: "r1", Type: kind, Host: host, Data: json.RawMessage(`{"text":"x"}`)}
}

func lines(t *testing.T, records ...Record) []byte {
	t.Helper()
	var out []byte
	for _, r := range records {
		line, err := encode(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, line...)
	}
	return out
}

func TestWriteAndReplay(t *testing.T) {
	var buf bytes.Buffer
	w := NewWriter(&buf, "r1", 0, at(t0.In(time.FixedZone("x", 3600))))
	var told []Record
	for _, data := range []any{Note{Text: "line\nbreak <&> \u2028"}, nil, StepBegan{Batch: 1, What: "setWeight 5%"}} {
		r, err := w.Append(TypeStep, "web1", data)
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, r)
	}
	if n := bytes.Count(buf.Bytes(), []byte("\n")); n != 3 {
		t.Errorf("%d lines, want 3", n)
	}
	got, err := Replay(&buf)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if !same(got[i], told[i]) || got[i].Seq != int64(i+1) || got[i].V != Version || !got[i].Time.Equal(t0) {
			t.Errorf("record %d: %+v, told %+v", i, got[i], told[i])
		}
	}
	if len(got) != len(told) {
		t.Errorf("%d records, told %d", len(got), len(told))
	}
}

func TestWriterOfManyGoroutines(t *testing.T) {
	var buf bytes.Buffer
	w := NewWriter(&buf, "r1", 10, at(t0))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := w.Append(TypeWarning, "", Note{Text: "x"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := Replay(&buf)
	if err != nil || len(got) != 20 {
		t.Fatalf("%d records, %v", len(got), err)
	}
	for i, r := range got {
		if r.Seq != int64(11+i) {
			t.Errorf("record %d has number %d", i, r.Seq)
		}
	}
}

// cutter writes half of what it is given, once.
type cutter struct {
	bytes.Buffer
	cut bool
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.cut {
		c.cut = false
		n, _ := c.Buffer.Write(p[:len(p)/2])
		return n, errors.New("disk full")
	}
	return c.Buffer.Write(p)
}

func (c *cutter) Sync() error { return nil }

func TestNothingFollowsHalfALine(t *testing.T) {
	c := &cutter{}
	w := NewWriter(c, "r1", 0, at(t0))
	if _, err := w.Append(TypeStep, "", nil); err != nil {
		t.Fatal(err)
	}
	c.cut = true
	for range 2 {
		if _, err := w.Append(TypeStep, "", nil); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Fatalf("error %v", err)
		}
	}
	if got, err := Replay(&c.Buffer); err != nil || len(got) != 1 {
		t.Errorf("%d records, %v", len(got), err)
	}
}

func TestWriterRefusesWhatReadersWouldRefuse(t *testing.T) {
	var buf bytes.Buffer
	w := NewWriter(&buf, "r1", 0, at(t0))
	if _, err := w.Append(TypeLog, "", Note{Text: strings.Repeat("x", MaxLine)}); err == nil {
		t.Error("took a record beyond the limit")
	}
	if _, err := w.Append(TypeLog, "", make(chan int)); err == nil {
		t.Error("took what can not be encoded")
	}
	if r, err := w.Append(TypeLog, "", nil); err != nil || r.Seq != 1 || buf.Len() == 0 {
		t.Errorf("a refused record used up a number or the writer: %+v %v", r, err)
	}
}

func TestReplayOfDamage(t *testing.T) {
	a, b := rec(1, TypeRunStarted, ""), rec(2, TypeStep, "web1")
	good := lines(t, a, b)
	tests := []struct {
		name string
		in   []byte
		want int
		err  string
	}{
		{"empty", nil, 0, ""},
		{"whole", good, 2, ""},
		{"torn", good[:len(good)-5], 1, ""},
		{"only the newline is missing", good[:len(good)-1], 1, ""},
		{"zeros behind", append(bytes.Clone(good), make([]byte, 3*MaxLine)...), 2, ""},
		{"garbage behind", append(bytes.Clone(good), "}}{"...), 2, ""},
		{"garbage between", append([]byte("hello\n"), good...), 0, "journal line 1: not a record"},
		{"garbage at the end, as a line", append(bytes.Clone(good), "hello\n"...), 2, "journal line 3: not a record"},
		{"zeros between", append(append(bytes.Clone(good), 0, 0, '\n'), good...), 2, "journal line 3"},
		{"empty line", append([]byte("\n"), good...), 0, "journal line 1"},
		{"another object", []byte("{\"a\":1}\n"), 0, "journal line 1: not a record: v 0"},
		{"too long", append([]byte(strings.Repeat("x", MaxLine)+"\n"), good...), 0, "journal line 1: longer than"},
		{"unknown fields", []byte(`{"v":2,"seq":1,"time":"2026-03-01T12:00:00Z","run":"r1","type":"new","more":[1]}` + "\n"), 1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Replay(bytes.NewReader(tt.in))
			if len(got) != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%d records, error %v; want %d, %q", len(got), err, tt.want, tt.err)
			}
		})
	}
}

func TestReplaySaysWhatReadingFailedWith(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Replay(&failing{err: broken}); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestMerge(t *testing.T) {
	one, two, three := rec(1, TypeRunStarted, ""), rec(2, TypeStarted, "web1"), rec(3, TypeStarted, "web2")
	undone1, undone2 := rec(4, TypeUndone, "web1"), rec(4, TypeUndone, "web2")
	undone2.Time = undone1.Time.Add(-time.Second)
	elsewhere := one
	elsewhere.Time = one.Time.In(time.FixedZone("x", -7200))
	got := Merge([]Record{one, two, undone1}, []Record{elsewhere, three, two, undone2}, nil)
	if want := []Record{one, two, three, undone2, undone1}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got := Merge(); len(got) != 0 {
		t.Errorf("nothing merges to %+v", got)
	}
	swapped := Merge([]Record{three, undone2, one}, []Record{two, undone1, two, one})
	if !reflect.DeepEqual(swapped, got) {
		t.Errorf("order of the stories matters: %+v", swapped)
	}
}

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r1.jsonl")
	f := open(t, path)
	if err := f.Add(rec(1, TypeRunStarted, ""), rec(2, TypeStep, ""), rec(2, TypeStep, "")); err != nil {
		t.Fatal(err)
	}
	if err := f.Add(rec(2, TypeStep, ""), rec(1, TypeRunStarted, ""), rec(5, TypeStep, "")); err != nil {
		t.Fatal(err)
	}
	if err := f.Add(rec(6, TypeStep, ""), Record{}); err == nil {
		t.Error("took what is no record")
	}
	told, err := f.Tell("r1", TypeUndone, "web1", t0, Note{Text: "alone"})
	if err != nil || told.Seq != 6 {
		t.Fatalf("told %+v, %v", told, err)
	}
	if err := f.Add(rec(6, TypeVerdict, "")); err != nil { // the controller's sixth, which came too late
		t.Fatal(err)
	}
	if f.Last() != 6 || len(f.Records()) != 5 {
		t.Errorf("last %d of %d records", f.Last(), len(f.Records()))
	}
	f.Close()
	again := open(t, path)
	if !sameAll(again.Records(), f.Records()) || again.Last() != 6 {
		t.Errorf("read %+v, wrote %+v", again.Records(), f.Records())
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func sameAll(a, b []Record) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !same(a[i], b[i]) {
			return false
		}
	}
	return true
}

func TestFileAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r1.jsonl")
	whole := lines(t, rec(1, TypeRunStarted, ""), rec(2, TypeStep, ""))
	for cut := range len(whole) {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		f := open(t, path)
		if err := f.Add(rec(1, TypeRunStarted, ""), rec(2, TypeStep, "")); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, whole) {
			t.Fatalf("cut at %d: %q, %v", cut, got, err)
		}
	}
}

func TestDamagedFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r1.jsonl")
	damaged := append([]byte("damaged\n"), lines(t, rec(1, TypeStep, ""))...)
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("error %v", err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, damaged) {
		t.Errorf("a refused journal was changed: %q", got)
	}
	if _, err := Open(filepath.Join(path, "below")); err == nil {
		t.Error("opened below a file")
	}
}

func TestAddAfterClose(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "r1.jsonl"))
	f.Close()
	if err := f.Add(rec(1, TypeStep, "")); err == nil || len(f.Records()) != 0 {
		t.Errorf("error %v, records %v", err, f.Records())
	}
}

// FuzzReplay: whatever is in a file, reading ends without a panic, what is
// read is written back the same, and cutting the end off never adds anything.
func FuzzReplay(f *testing.F) {
	f.Add([]byte(`{"v":1,"seq":1,"time":"2026-03-01T12:00:00Z","run":"r","type":"step","data":{"a":1}}`+"\n"), 3)
	f.Add([]byte("\x00\n{}\n"), 0)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		records, err := Replay(bytes.NewReader(in))
		if cut >= 0 && cut < len(in) {
			fewer, shortErr := Replay(bytes.NewReader(in[:cut]))
			if len(fewer) > len(records) || err == nil && shortErr != nil {
				t.Errorf("%d records of %d bytes, %d of %d: %v", len(fewer), cut, len(records), len(in), shortErr)
			}
		}
		for _, r := range records {
			line, err := encode(r)
			if err != nil {
				continue // escaping can make a line longer than it was
			}
			again, err := Replay(bytes.NewReader(line))
			if err != nil || len(again) != 1 || again[0].Seq != r.Seq || again[0].Type != r.Type {
				t.Errorf("%+v came back as %+v, %v", r, again, err)
			}
		}
	})
}
