package log

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/go-shipper/shipper/service/trace"
)

// handler makes a JSON line of a record. Attributes that all lines of a Logger
// have are encoded once, when it is made.
type handler struct {
	writer *writer
	level  slog.Leveler
	prefix []byte   // what With gave, in the groups that are open
	open   int      // groups that are open in prefix
	later  []string // groups that open as soon as something comes into them
}

func newHandler(w *writer, level slog.Leveler, attrs []slog.Attr) *handler {
	h := &handler{writer: w, level: level}
	return h.WithAttrs(attrs).(*handler)
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level.Level() }

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	child := *h
	child.later = append(h.later[:len(h.later):len(h.later)], name)
	return &child
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	child := *h
	e := encoder{buf: bytes.Clone(h.prefix)}
	mark := e.openGroups(h.later)
	for _, a := range attrs {
		e.attr(a)
	}
	if e.anythingSince(mark) {
		child.prefix, child.open, child.later = e.buf, h.open+len(h.later), nil
	}
	return &child
}

// lines are encoded in buffers that are used again.
var lines = sync.Pool{New: func() any { return &encoder{buf: make([]byte, 0, 1024)} }}

// maxKept keeps one enormous record from being held forever.
const maxKept = 64 << 10

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	e := lines.Get().(*encoder)
	e.buf = e.buf[:0]
	h.line(ctx, e, r)
	h.writer.add(e.buf, r.Level >= slog.LevelError)
	if cap(e.buf) <= maxKept {
		lines.Put(e)
	}
	return nil
}

func (h *handler) line(ctx context.Context, e *encoder, r slog.Record) {
	e.buf = append(e.buf, '{')
	if !r.Time.IsZero() {
		e.key(slog.TimeKey)
		e.time(r.Time)
	}
	e.key(slog.LevelKey)
	e.string(r.Level.String())
	e.key(slog.MessageKey)
	e.string(r.Message)
	if p, ok := trace.From(ctx); ok {
		e.key("trace_id")
		e.hex(p.Trace[:])
		e.key("span_id")
		e.hex(p.Span[:])
	}
	e.buf = append(e.buf, h.prefix...)
	open := h.open
	mark := e.openGroups(h.later)
	r.Attrs(func(a slog.Attr) bool {
		e.attr(a)
		return true
	})
	if e.anythingSince(mark) {
		open += len(h.later)
	}
	for range open {
		e.buf = append(e.buf, '}')
	}
	e.buf = append(e.buf, '}', '\n')
}

// lostLine tells of n records that were dropped.
func (h *handler) lostLine(n uint64) []byte {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines dropped", 0)
	r.AddAttrs(slog.Uint64("dropped", n))
	var e encoder
	h.line(context.Background(), &e, r)
	return e.buf
}
