package log

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows/registry"
)

func TestWindowsEventLog(t *testing.T) {
	const source = "shipper-kit-test"
	for range 2 {
		if err := RegisterSource(source); err != nil {
			t.Fatal(err)
		}
	}
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, sources+source, registry.QUERY_VALUE)
	if err != nil {
		t.Fatal(err)
	}
	file, _, err := key.GetStringValue("EventMessageFile")
	kinds, _, err2 := key.GetIntegerValue("TypesSupported")
	key.Close()
	if err != nil || err2 != nil || !strings.HasSuffix(file, "EventCreate.exe") || kinds != 7 {
		t.Errorf("%s, %d: %v, %v", file, kinds, err, err2)
	}
	events, err := OpenEvents(source)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	l := open(t, Options{Output: &out, Events: events})
	l.Logger().Info("started", Event(EventStarted))
	l.Logger().Warn("slow", Event(101))
	l.Logger().Error("bad", Event(102))
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if bytes.Contains(out.Bytes(), []byte("event_error")) {
		t.Errorf("%s", out.Bytes())
	}
	for range 2 {
		if err := UnregisterSource(source); err != nil {
			t.Error(err)
		}
	}
	if registered(source) {
		t.Error("the source is still there")
	}
}

// On Windows a file that somebody has open cannot be moved: it goes on.
func TestWindowsFileThatIsHeld(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "x.log")
	l := open(t, Options{File: path, Rotation: Rotation{MaxBytes: 200, Plain: true}})
	l.Logger().Info("first")
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		l.Logger().Info("while it is held")
	}
	if err := l.Flush(); err != nil {
		t.Error(err)
	}
	held.Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	_, texts := contents(t, dir)
	if n := strings.Count(strings.Join(texts, ""), "\n"); n != 11 {
		t.Errorf("%d lines of 11: %q", n, texts)
	}
}
