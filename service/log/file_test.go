package log

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// clock of a test; each look is a microsecond later.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time {
	c.now = c.now.Add(time.Microsecond)
	return c.now
}

func openTest(t *testing.T, path string, r Rotation, c *clock) *file {
	t.Helper()
	f, err := openFile(path, r, c.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// contents of all files of a folder, unpacked, the oldest first.
func contents(t *testing.T, dir string) (names []string, texts []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, packed) {
			z, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if b, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		names, texts = append(names, filepath.Base(path)), append(texts, string(b))
	}
	return names, texts
}

func TestNewFileWhenFull(t *testing.T) {
	dir := folder(t)
	c := &clock{time.Date(2026, 11, 24, 9, 0, 0, 0, time.Local)}
	f := openTest(t, filepath.Join(dir, "deep", "x.log"), Rotation{MaxBytes: 100, Keep: 100}, c)
	var want, batch strings.Builder
	for n := range 60 { // batches of one to seven lines
		line := fmt.Sprintf("line %d %s\n", n, strings.Repeat("x", n%50))
		want.WriteString(line)
		if batch.WriteString(line); n%7 == n%3 || n == 59 {
			if wrote, err := f.Write([]byte(batch.String())); err != nil || wrote != batch.Len() {
				t.Fatal(wrote, err)
			}
			batch.Reset()
		}
	}
	f.shelf.keep = 1000
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	names, texts := contents(t, filepath.Join(dir, "deep"))
	for i, text := range texts {
		if len(text) > 100 || !strings.HasSuffix(text, "\n") {
			t.Errorf("%s has %d bytes: %q", names[i], len(text), text)
		}
		if last := i == len(texts)-1; strings.HasSuffix(names[i], packed) == last || last != (names[i] == "x.log") {
			t.Errorf("%d of %d is %s", i, len(texts), names[i])
		}
	}
	if all := want.String(); !strings.HasSuffix(all, strings.Join(texts, "")) || len(texts) < 10 {
		t.Errorf("%d files: not the end of what was written", len(texts))
	}
}

func TestNewFileEachDay(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "x.log")
	c := &clock{time.Date(2026, 11, 24, 23, 59, 58, 0, time.Local)}
	f := openTest(t, path, Rotation{}, c)
	for _, text := range []string{"a\n", "b\n", "c\n"} { // 23:59:59, 00:00:00, 00:00:01
		c.now = c.now.Add(time.Second)
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	if err := os.Chtimes(path, c.now, c.now); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.AddDate(0, 0, 2) // a start on another day
	f = openTest(t, path, Rotation{}, c)
	f.Write([]byte("d\n"))
	f.Close()
	if names, texts := contents(t, dir); !slices.Equal(texts, []string{"a\n", "b\nc\n", "d\n"}) {
		t.Errorf("%q: %q", names, texts)
	}
}

func TestOldFilesEnd(t *testing.T) {
	dir := folder(t)
	for _, name := range []string{"x-notes.log", "x-20260101T000000.log", "y-20260101T000000.000000.log", "x-20260101T000000.000000.log.gz.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("other"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := &clock{time.Date(2026, 11, 24, 9, 0, 0, 0, time.Local)}
	f := openTest(t, filepath.Join(dir, "x.log"), Rotation{MaxBytes: 10, Keep: 2, Plain: true}, c)
	for n := range 9 {
		fmt.Fprintf(f, "line %d\n", n)
	}
	f.Close()
	names, texts := contents(t, dir)
	if want := []string{"other", "line 6\n", "line 7\n", "other", "line 8\n", "other"}; !slices.Equal(texts, want) {
		t.Errorf("%q: %q", names, texts)
	}
}

// Archives that the last run had no time for are made by the next.
func TestArchivesOfTheLastRun(t *testing.T) {
	dir := folder(t)
	left := filepath.Join(dir, "x-20261123T000000.000000.log")
	if err := os.WriteFile(left, []byte("left\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &clock{time.Now()}
	openTest(t, filepath.Join(dir, "x.log"), Rotation{}, c).Close()
	names, texts := contents(t, dir)
	if !slices.Equal(names, []string{filepath.Base(left) + packed, "x.log"}) || texts[0] != "left\n" {
		t.Errorf("%q: %q", names, texts)
	}
}

// A file that cannot be moved goes on, and is moved later.
func TestFileThatIsHeld(t *testing.T) {
	dir := folder(t)
	c := &clock{time.Date(2026, 11, 24, 9, 0, 0, 0, time.Local)}
	f := openTest(t, filepath.Join(dir, "x.log"), Rotation{MaxBytes: 10, Plain: true}, c)
	shelf := f.shelf.dir
	f.shelf.dir = filepath.Join(dir, "missing")
	for n := range 3 {
		fmt.Fprintf(f, "line %d\n", n)
	}
	f.shelf.dir = shelf
	fmt.Fprintln(f, "too early")
	c.now = c.now.Add(retry)
	fmt.Fprintln(f, "new file")
	f.Close()
	if names, texts := contents(t, dir); !slices.Equal(texts, []string{"line 0\nline 1\nline 2\ntoo early\n", "new file\n"}) {
		t.Errorf("%q: %q", names, texts)
	}
}

// After a write that a full disk cut short the next line begins a new one.
func TestTornLineIsMended(t *testing.T) {
	dir := folder(t)
	c := &clock{time.Now()}
	f := openTest(t, filepath.Join(dir, "x.log"), Rotation{}, c)
	f.Write([]byte("tor"))
	f.Write([]byte("whole\n"))
	f.Close()
	if _, texts := contents(t, dir); texts[0] != "tor\nwhole\n" {
		t.Errorf("%q", texts)
	}
}

func TestArchivingFailureKeepsTheFile(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "x-20261123T000000.000000.log")
	if err := os.WriteFile(path, []byte("left\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path+packing, 0o700); err != nil { // in the way
		t.Fatal(err)
	}
	if err := compress(path); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "left\n" {
		t.Errorf("%q, %v", b, err)
	}
}
