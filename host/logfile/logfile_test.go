package logfile

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A log that somebody holds cannot be moved on Windows; nothing is lost.
func TestRotationOfHeldLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	l, err := Open(path, 100, 2)
	if err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 59) + "\n")
	for range 3 {
		l.Write(line)
	}
	held.Close()
	for range 2 {
		l.Write(line)
	}
	l.Close()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err != nil || len(b) == 0 || len(b)%len(line) != 0 {
			t.Errorf("%s has %d bytes, %v", f, len(b), err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.HasSuffix(b, line) {
		t.Errorf("%s: %v", path, err)
	}
}

// A file that is old is moved aside too, by its own age, and not before.
func TestRotationByAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.jsonl")
	now := time.Now()
	open := func() *Log {
		l, err := OpenAged(path, 1<<20, 2, time.Hour, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	for _, step := range []time.Duration{0, 59 * time.Minute, time.Minute, 2 * time.Hour, time.Minute} {
		now = now.Add(step)
		l.Write([]byte("line\n"))
	}
	l.Close()
	for name, lines := range map[string]int{"x.jsonl": 2, "x.1.jsonl": 1, "x.2.jsonl": 2} {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
		if n := bytes.Count(b, []byte("\n")); err != nil || n != lines {
			t.Errorf("%s has %d lines, %v, want %d", name, n, err, lines)
		}
	}
	if err := os.Chtimes(path, now.Add(-2*time.Hour), now.Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	l = open() // a start of the program keeps the file's age
	l.Write([]byte("line\n"))
	l.Close()
	if b, err := os.ReadFile(path); err != nil || string(b) != "line\n" {
		t.Errorf("after a start: %q, %v", b, err)
	}
}
