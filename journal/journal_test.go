package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

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

func TestReplayOfDamage(t *testing.T) {
	a, b := rec(1, TypeRunStarted, ""), rec(2, TypeStep, "web1")
	good := lines(t, a, b)
	tests := []struct {
		name string
		in   []byte
		want int
	}{
		{"empty", nil, 0},
		{"whole", good, 2},
		{"torn", good[:len(good)-5], 1},
		{"only the newline is missing", good[:len(good)-1], 1},
		{"zeros behind", append(bytes.Clone(good), make([]byte, 3*MaxLine)...), 2},
		{"garbage behind", append(bytes.Clone(good), "}}{"...), 2},
		{"garbage between", append([]byte("hello\n"), good...), 2},
		{"garbage at the end, as a line", append(bytes.Clone(good), "hello\n"...), 2},
		{"zeros between", append(append(bytes.Clone(good), 0, 0, '\n'), good...), 4},
		{"empty line", append([]byte("\n"), good...), 2},
		{"another object", append([]byte("{\"a\":1}\n"), good...), 2},
		{"too long", append([]byte(strings.Repeat("x", MaxLine)+"\n"), good...), 2},
		{"a record behind what is too long", append([]byte(strings.Repeat("x", MaxLine)), good...), 1},
		{"unknown fields", []byte(`{"v":2,"seq":1,"time":"2026-03-01T12:00:00Z","run":"r1","type":"new","more":[1]}` + "\n"), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Replay(bytes.NewReader(tt.in))
			if len(got) != tt.want || err != nil {
				t.Errorf("%d records, error %v; want %d", len(got), err, tt.want)
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

func TestMergeOfSeveralRuns(t *testing.T) {
	one, two := rec(1, TypeRunStarted, ""), rec(2, TypeResult, "")
	later1, later2 := one, two
	later1.Run, later2.Run = "r2", "r2"
	got := Merge([]Record{one, two, later1}, []Record{later1, later2, one})
	if want := []Record{one, two, later1, later2}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// FuzzReplay: whatever is in a file, reading ends without a panic, what is
// read is written back the same, and cutting the end off never adds anything.
func FuzzReplay(f *testing.F) {
	f.Add([]byte(`{"v":1,"seq":1,"time":"2026-03-01T12:00:00Z","run":"r","type":"step","data":{"a":1}}`+"\n"), 3)
	f.Add([]byte("\x00\n{}\n"), 0)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		records, err := Replay(bytes.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		if cut >= 0 && cut < len(in) {
			fewer, err := Replay(bytes.NewReader(in[:cut]))
			if err != nil || len(fewer) > len(records) {
				t.Errorf("%d records of %d bytes, %d of %d: %v", len(fewer), cut, len(records), len(in), err)
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
