package log

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// Events that the kit reports itself. A service's own begin at EventFirst.
const (
	EventStarted     = 1  // the service runs
	EventStopped     = 2  // it was stopped
	EventDegraded    = 3  // a health check failed as often as it may
	EventRecovered   = 4  // it is healthy again
	EventCrashed     = 5  // the last run ended in a crash
	EventHung        = 6  // three heartbeats were missed
	EventRestarted   = 7  // work that failed was started again
	EventMaintenance = 8  // work failed too often and is not started any more
	EventReload      = 9  // a changed configuration was refused, or applied
	EventControl     = 10 // an operator's command was executed
	EventFirst       = 100
	eventLast        = 1000 // what the system's own message file has
)

const eventKey = "event_id"

// Event marks a record that operators must see: it also goes to Options.Events,
// with its level. It belongs into the call itself, not into With and no group.
// Events are written at once, so they are for what happens rarely. An id is
// 1 to 1000; another is reported as 1000.
func Event(id uint16) slog.Attr {
	if id < 1 || id > eventLast {
		id = eventLast
	}
	return slog.Uint64(eventKey, uint64(id))
}

// EventSink is where operators look. Report is called by any goroutine.
type EventSink interface {
	// Report writes one event. Level is one of slog's, or between them.
	Report(level slog.Level, id uint32, text string) error
	Close() error
}

// eventHandler reports records that have an Event, and passes all on.
type eventHandler struct {
	slog.Handler
	sink EventSink
	attr []slog.Attr // of With, for the event's text
}

func (h eventHandler) Handle(ctx context.Context, r slog.Record) error {
	id := uint64(0)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == eventKey && a.Value.Kind() == slog.KindUint64 {
			id = a.Value.Uint64()
		}
		return id == 0
	})
	if id == 0 {
		return h.Handler.Handle(ctx, r)
	}
	if err := h.sink.Report(r.Level, uint32(id), h.text(ctx, r)); err != nil {
		r = r.Clone()
		r.AddAttrs(slog.String("event_error", err.Error()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return eventHandler{h.Handler.WithAttrs(attrs), h.sink, append(h.attr[:len(h.attr):len(h.attr)], attrs...)}
}

func (h eventHandler) WithGroup(name string) slog.Handler {
	return eventHandler{h.Handler.WithGroup(name), h.sink, h.attr}
}

// maxEvent is what an event of Windows can hold, less a margin.
const maxEvent = 30_000

// text is the message and, below it, the attributes.
func (h eventHandler) text(ctx context.Context, r slog.Record) string {
	var attrs bytes.Buffer
	plain := slog.NewTextHandler(&attrs, &slog.HandlerOptions{Level: r.Level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.LevelKey || a.Key == slog.TimeKey || a.Key == slog.MessageKey || a.Key == eventKey) {
			return slog.Attr{}
		}
		return a
	}})
	if err := plain.WithAttrs(h.attr).Handle(ctx, r); err != nil {
		return r.Message
	}
	text := strings.TrimSpace(fmt.Sprintf("%s\n\n%s", r.Message, attrs.Bytes()))
	return strings.ToValidUTF8(strings.ReplaceAll(text[:min(len(text), maxEvent)], "\x00", " "), "")
}
