package journal

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func onDisk(t *testing.T, path string) []Record {
	t.Helper()
	in, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	records, err := Replay(bytes.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r1.jsonl")
	f := open(t, path)
	if err := f.Add(rec(1, TypeRunStarted, ""), rec(2, TypeStep, ""), rec(2, TypeStep, "")); err != nil {
		t.Fatal(err)
	}
	f = open(t, path)
	if err := f.Add(rec(2, TypeStep, ""), rec(1, TypeRunStarted, ""), rec(5, TypeStep, "")); err != nil {
		t.Fatal(err)
	}
	if err := f.Add(rec(6, TypeStep, ""), Record{}); err == nil {
		t.Error("took what is no record")
	}
	alone := Note{Text: "line\nbreak <&> \u2028"}
	if err := f.Tell("r1", TypeUndone, "web1", t0.In(time.FixedZone("x", 3600)), alone); err != nil {
		t.Fatal(err)
	}
	if err := f.Add(rec(6, TypeVerdict, "")); err != nil { // the controller's sixth, which came too late
		t.Fatal(err)
	}
	raw, err := json.Marshal(alone)
	if err != nil {
		t.Fatal(err)
	}
	told := Record{V: Version, Seq: 6, Time: t0, Run: "r1", Type: TypeUndone, Host: "web1", Data: raw}
	want := []Record{rec(1, TypeRunStarted, ""), rec(2, TypeStep, ""), rec(5, TypeStep, ""), told, rec(6, TypeVerdict, "")}
	if got := onDisk(t, path); !sameAll(got, want) {
		t.Errorf("read %+v, want %+v", got, want)
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
		if err := open(t, path).Add(rec(1, TypeRunStarted, ""), rec(2, TypeStep, "")); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, whole) {
			t.Fatalf("cut at %d: %q, %v", cut, got, err)
		}
	}
}

// What is damaged stays as it is, and keeps nothing else from being told.
func TestFileWithADamagedLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r1.jsonl")
	damaged := append([]byte("damaged\n"), lines(t, rec(1, TypeStep, ""))...)
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path).Add(rec(1, TypeStep, ""), rec(2, TypeStep, "")); err != nil {
		t.Fatal(err)
	}
	want := append(damaged, lines(t, rec(2, TypeStep, ""))...)
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestFileChangedBehindItsBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r1.jsonl")
	f := open(t, path)
	if err := f.Add(rec(1, TypeStep, ""), rec(2, TypeStep, "")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := f.Add(rec(2, TypeStep, "")); err != nil {
		t.Fatal(err)
	}
	if got := onDisk(t, path); !sameAll(got, []Record{rec(2, TypeStep, "")}) {
		t.Errorf("after it was removed: %+v", got)
	}
	// A full disk: half a line, and not even the way back worked.
	torn := append(lines(t, rec(2, TypeStep, "")), `{"v":1,"se`...)
	if err := os.WriteFile(path, torn, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Add(rec(3, TypeStep, "")); err != nil {
		t.Fatal(err)
	}
	if got := onDisk(t, path); !sameAll(got, []Record{rec(2, TypeStep, ""), rec(3, TypeStep, "")}) {
		t.Errorf("after a torn write: %+v", got)
	}
}

func TestFileHasBounds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r1.jsonl")
	f := open(t, path)
	long := rec(1, TypeStep, "")
	long.Data = json.RawMessage(`"` + strings.Repeat("x", MaxLine) + `"`)
	if err := f.Add(long); err == nil {
		t.Error("took a record beyond the limit")
	}
	if err := f.Tell("r1", TypeStep, "", t0, make(chan int)); err == nil {
		t.Error("took what can not be encoded")
	}
	long.Data = json.RawMessage(`"` + strings.Repeat("x", MaxLine-300) + `"`)
	var err error
	for ; err == nil && long.Seq < 1000; long.Seq++ {
		err = f.Add(long)
	}
	info, statErr := os.Stat(path)
	if statErr != nil {
		t.Fatal(statErr)
	}
	if err == nil || !strings.Contains(err.Error(), "full") || info.Size() > MaxFile || info.Size() < MaxFile-MaxLine {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	if err := f.Add(rec(1, TypeVerdict, "")); err != nil {
		t.Errorf("a short record still fits: %v", err)
	}
}

// TestFileKeepsRoomForTheEnd: a run that was watched for too long tells its end.
func TestFileKeepsRoomForTheEnd(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "run.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	r := Record{V: Version, Run: "run", Type: TypeMeasurement, Data: json.RawMessage(`"` + strings.Repeat("x", MaxLine-300) + `"`)}
	for r.Seq = 1; r.Seq < 2*MaxFile/MaxLine; r.Seq++ {
		if err := j.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	r.Type, r.Data = TypeResult, json.RawMessage(`{"state":"Promoted"}`)
	if err := j.Add(r); err != nil {
		t.Errorf("the result: %v", err)
	}
}

func TestFileWhereNoneCanBe(t *testing.T) {
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("opened a folder")
	}
	if err := open(t, filepath.Join(t.TempDir(), "no", "r1.jsonl")).Add(rec(1, TypeStep, "")); err == nil {
		t.Error("told into a folder that is not there")
	}
}
