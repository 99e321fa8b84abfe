package log

import (
	"context"
	"encoding/hex"
	"log/slog"

	"github.com/go-shipper/shipper/service/trace"
)

// textHandler is slog's own for people, with the trace.
type textHandler struct{ slog.Handler }

func newTextHandler(w *writer, level slog.Leveler, attrs []slog.Attr) slog.Handler {
	h := slog.NewTextHandler(lineWriter{w}, &slog.HandlerOptions{Level: level})
	return textHandler{h.WithAttrs(attrs)}
}

func (h textHandler) Handle(ctx context.Context, r slog.Record) error {
	if p, ok := trace.From(ctx); ok {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", hex.EncodeToString(p.Trace[:])))
	}
	return h.Handler.Handle(ctx, r)
}

func (h textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return textHandler{h.Handler.WithAttrs(attrs)}
}

func (h textHandler) WithGroup(name string) slog.Handler {
	return textHandler{h.Handler.WithGroup(name)}
}

// lineWriter takes each Write as a line.
type lineWriter struct{ writer *writer }

func (l lineWriter) Write(p []byte) (int, error) {
	l.writer.add(p, false)
	return len(p), nil
}
