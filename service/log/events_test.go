package log

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

type eventList struct {
	events []string
	err    error
	closed bool
}

func (l *eventList) Report(level slog.Level, id uint32, text string) error {
	l.events = append(l.events, fmt.Sprintf("%s %d %s", level, id, text))
	return l.err
}

func (l *eventList) Close() error { l.closed = true; return nil }

func TestOperatorsSeeEvents(t *testing.T) {
	var out bytes.Buffer
	var sink eventList
	l := open(t, Options{Output: &out, Service: "orders", Events: &sink})
	log := l.Logger().With("part", "sync").WithGroup("g")
	log.Info("nobody's business", "id", 7)
	log.Warn("disk\x00 slow", Event(101), "wait_ms", 900)
	log.Error("too many", Event(0))
	log.Debug("below the level", Event(102))
	l.Close()
	want := []string{"WARN 101 disk  slow\n\nservice=orders part=sync wait_ms=900", "ERROR 1000 too many\n\nservice=orders part=sync"}
	if !slices.Equal(sink.events, want) || !sink.closed {
		t.Errorf("%q", sink.events)
	}
	if n := len(parse(t, out.Bytes())); n != 3 {
		t.Errorf("%d lines", n)
	}
}

func TestEventThatCannotBeWritten(t *testing.T) {
	var out bytes.Buffer
	l := open(t, Options{Output: &out, Events: &eventList{err: errors.New("no event log")}})
	l.Logger().Error("x "+strings.Repeat("€", maxEvent), Event(101))
	l.Close()
	if m := parse(t, out.Bytes()); m[0]["event_error"] != "no event log" {
		t.Errorf("%v", m)
	}
}
