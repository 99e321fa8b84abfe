package response

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestNotesWhatIsAnswered(t *testing.T) {
	tests := map[string]struct {
		handle func(http.ResponseWriter)
		status int
		bytes  int64
	}{
		"nothing":     {func(http.ResponseWriter) {}, 200, 0},
		"body only":   {func(w http.ResponseWriter) { io.WriteString(w, "hello") }, 200, 5},
		"status":      {func(w http.ResponseWriter) { http.Error(w, "no", http.StatusServiceUnavailable) }, 503, 3},
		"first wins":  {func(w http.ResponseWriter) { w.WriteHeader(404); w.WriteHeader(200) }, 404, 0},
		"provisional": {func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(404) }, 404, 0},
		"flushed":     {func(w http.ResponseWriter) { w.(http.Flusher).Flush(); w.WriteHeader(404) }, 200, 0},
		"read from":   {func(w http.ResponseWriter) { io.Copy(w, strings.NewReader("hello")) }, 200, 5},
		"again":       {func(w http.ResponseWriter) { Record(w).WriteHeader(204) }, 204, 0},
	}
	for name, tt := range tests {
		r := Record(httptest.NewRecorder())
		tt.handle(r)
		if r.Status() != tt.status || r.Bytes() != tt.bytes {
			t.Errorf("%s: %d with %d bytes", name, r.Status(), r.Bytes())
		}
	}
}

func TestConnectionCanBeTakenOver(t *testing.T) {
	status := make(chan int, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		r := Record(w)
		conn, rw, err := r.Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\nhello\n")
		rw.Flush()
		status <- r.Status()
	}))
	defer s.Close()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	b, err := io.ReadAll(bufio.NewReader(conn))
	if err != nil || !strings.HasSuffix(string(b), "\r\n\r\nhello\n") || <-status != 101 {
		t.Errorf("%q, %v", b, err)
	}
}
