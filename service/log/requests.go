package log

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/go-shipper/shipper/service/internal/response"
)

// Requests writes a line per request when it has been answered: method, path
// (without the query, which may hold what is secret), status, bytes of the
// body, duration_us in microseconds, remote. The level is Info, from status
// 500 on Error. A handler that panics has 500. Put it inside trace.Handler, so
// that the line has its trace_id.
func Requests(l *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		rec := response.Record(w)
		whole := false
		defer func() {
			status := rec.Status()
			if !whole {
				status = http.StatusInternalServerError
			}
			logRequest(l, r, rec, status, time.Since(begun))
		}()
		next.ServeHTTP(rec, r)
		whole = true
	})
}

func logRequest(l *slog.Logger, r *http.Request, rec *response.Recorder, status int, took time.Duration) {
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	l.LogAttrs(r.Context(), level, "request",
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", status),
		slog.Int64("bytes", rec.Bytes()), slog.Int64("duration_us", took.Microseconds()), slog.String("remote", r.RemoteAddr))
}
