package log

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/go-shipper/shipper/service/trace"
)

func open(t *testing.T, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// parse reads JSON lines.
func parse(t *testing.T, b []byte) []map[string]any {
	t.Helper()
	var all []map[string]any
	for dec := json.NewDecoder(bytes.NewReader(b)); ; {
		var m map[string]any
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, b)
		}
		all = append(all, m)
	}
}

// What slog asks of every handler.
func TestIsASlogHandler(t *testing.T) {
	for _, text := range []bool{false, true} {
		var out bytes.Buffer
		l := open(t, Options{Output: &out, Text: text, Events: &eventList{}})
		if text {
			continue // slog's own, tested there
		}
		err := slogtest.TestHandler(l.Logger().Handler(), func() []map[string]any {
			if err := l.Flush(); err != nil {
				t.Error(err)
			}
			return parse(t, out.Bytes())
		})
		if err != nil {
			t.Error(err)
		}
	}
}

type secret struct{}

func (secret) LogValue() slog.Value { return slog.StringValue("hidden") }

type angry struct{ *int }

func (a angry) MarshalJSON() ([]byte, error) { return fmt.Append(nil, *a.int), nil }

type failing struct{}

func (failing) MarshalJSON() ([]byte, error) { return nil, errors.New("no") }

// same logs with our handler and with slog's, and compares what a reader gets.
func same(t *testing.T, log func(*slog.Logger)) {
	t.Helper()
	var ours, theirs bytes.Buffer
	l := open(t, Options{Output: &ours, Level: slog.LevelDebug})
	log(l.Logger())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	log(slog.New(slog.NewJSONHandler(&theirs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	got, want := parse(t, ours.Bytes()), parse(t, theirs.Bytes())
	for _, m := range append(got, want...) {
		delete(m, "time")
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("ours\n%sslog's\n%s", ours.Bytes(), theirs.Bytes())
	}
	if bytes.Count(ours.Bytes(), []byte("\n")) != len(want) {
		t.Errorf("not one line each:\n%s", ours.Bytes())
	}
}

func TestLinesAreSlogs(t *testing.T) {
	at := time.Date(2026, 11, 24, 9, 0, 0, 5000, time.UTC)
	tests := map[string]func(*slog.Logger){
		"kinds": func(l *slog.Logger) {
			l.Info("all", "s", "x", "i", -5, "u", uint64(math.MaxUint64), "f", 1e21, "g", 0.1, "b", true, "d", 1500*time.Millisecond, "t", at, "n", nil)
		},
		"values": func(l *slog.Logger) {
			l.Warn("any", "e", io.EOF, "m", map[string]int{"a": 1}, "z", []string{"<&>"}, "l", secret{}, "bytes", []byte("x"))
		},
		"bad values": func(l *slog.Logger) { l.Error("bad", "chan", make(chan int), "fail", failing{}) },
		"levels":     func(l *slog.Logger) { l.Log(context.Background(), slog.LevelError+3, "x"); l.Debug("y") },
		"strings": func(l *slog.Logger) {
			l.Info("q\"\\\n\r\t\b\x00\x1f\x7f", "u", "\u2028ü€😀\u2029", "bad", "a\xffb\xc3", "key \"\n", 1)
		},
		"groups": func(l *slog.Logger) {
			l.WithGroup("g").With("a", 1).WithGroup("h").Info("x", "b", 2, slog.Group("i", "c", 3), slog.Group("", "d", 4))
		},
		"empty groups": func(l *slog.Logger) {
			l.WithGroup("g").WithGroup("h").Info("x", slog.Group("i", slog.Group("j")))
			l.With("a", 1).WithGroup("g").With(slog.Group("x")).Info("y", slog.Attr{})
		},
		"shared parents": func(l *slog.Logger) {
			g := l.WithGroup("g").With("a", 1)
			g.With("b", 2).Info("x")
			g.With("c", 3).Info("y")
			g.WithGroup("h").Info("z", "d", 4)
			g.WithGroup("i").Info("z", "d", 4)
		},
	}
	for name, log := range tests {
		t.Run(name, func(t *testing.T) { same(t, log) })
	}
}

func TestValuesThatPanicOrAreNoNumber(t *testing.T) {
	var out bytes.Buffer
	l := open(t, Options{Output: &out})
	l.Logger().Info("x", "p", angry{}, "nan", math.NaN(), "inf", math.Inf(-1))
	l.Close()
	m := parse(t, out.Bytes())[0]
	if p, _ := m["p"].(string); !strings.HasPrefix(p, "!PANIC: ") || m["nan"] != "NaN" || m["inf"] != "-Inf" {
		t.Errorf("%s", out.Bytes())
	}
}

func FuzzStringsAreSlogs(f *testing.F) {
	f.Add("message", "key", "value \u2028 \xff")
	f.Fuzz(func(t *testing.T, msg, key, value string) {
		same(t, func(l *slog.Logger) { l.Info(msg, "k"+key, value, "any", []string{value}) })
	})
}

func TestEveryLineTellsWhoAndWhichRequest(t *testing.T) {
	var out bytes.Buffer
	level := new(slog.LevelVar)
	l := open(t, Options{Output: &out, Service: "orders", Version: "1.2.3", Slot: "blue", Level: level})
	p := trace.New()
	ctx := trace.With(t.Context(), p)
	l.Logger().InfoContext(ctx, "in", "a", 1)
	l.Logger().WithGroup("g").InfoContext(ctx, "group", "a", 1)
	l.Logger().Debug("not yet")
	level.Set(slog.LevelDebug)
	l.Logger().Debug("now")
	l.Close()
	lines := parse(t, out.Bytes())
	if len(lines) != 3 {
		t.Fatalf("%s", out.Bytes())
	}
	for i, m := range lines {
		traced := m["trace_id"] == p.String()[3:35] && m["span_id"] == p.String()[36:52]
		if m["service"] != "orders" || m["version"] != "1.2.3" || m["slot"] != "blue" || traced != (i < 2) {
			t.Errorf("%v", m)
		}
		if _, err := time.Parse(time.RFC3339Nano, m["time"].(string)); err != nil {
			t.Error(err)
		}
	}
}

func TestTextIsForPeople(t *testing.T) {
	var out bytes.Buffer
	l := open(t, Options{Output: &out, Service: "orders", Text: true})
	p := trace.New()
	l.Logger().With("a", 1).WithGroup("g").InfoContext(trace.With(t.Context(), p), "hello world", "b", 2)
	l.Close()
	for _, want := range []string{`level=INFO msg="hello world" service=orders a=1 g.b=2`, "trace_id=" + p.String()[3:35]} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s", out.String())
		}
	}
}
