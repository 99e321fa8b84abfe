package log

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-shipper/shipper/service/trace"
)

func TestALinePerRequest(t *testing.T) {
	tests := map[string]struct {
		handle http.HandlerFunc
		status float64
		bytes  float64
		level  string
	}{
		"good":  {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }, 200, 5, "INFO"},
		"wrong": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, 404, 0, "INFO"},
		"bad":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 503, 0, "ERROR"},
		"panic": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 500, 0, "ERROR"},
	}
	for name, tt := range tests {
		var out bytes.Buffer
		l := open(t, Options{Output: &out})
		r := httptest.NewRequest("POST", "/orders/7?token=secret", nil)
		func() {
			defer func() { recover() }()
			trace.Handler(Requests(l.Logger(), tt.handle)).ServeHTTP(httptest.NewRecorder(), r)
		}()
		l.Close()
		m := parse(t, out.Bytes())[0]
		if m["status"] != tt.status || m["bytes"] != tt.bytes || m["level"] != tt.level || m["method"] != "POST" ||
			m["path"] != "/orders/7" || m["trace_id"] == nil || m["duration_us"] == nil || bytes.Contains(out.Bytes(), []byte("secret")) {
			t.Errorf("%s: %s", name, out.Bytes())
		}
	}
}

func BenchmarkLine(b *testing.B) {
	l, err := Open(Options{Output: io.Discard, Service: "orders", Version: "1.0.0", Slot: "blue", Full: Drop})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	ctx := trace.With(b.Context(), trace.New())
	b.ReportAllocs()
	for b.Loop() {
		l.Logger().InfoContext(ctx, "request", "method", "GET", "path", "/orders/7", "status", 200, "bytes", 512, "duration_us", 81)
	}
}
