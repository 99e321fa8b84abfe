package router

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// witness is an instance that keeps every byte that reaches it and answers
// each request, as it understands them, with its method, target and body.
type witness struct {
	mu   sync.Mutex
	seen bytes.Buffer
	addr string
}

func newWitness(t *testing.T) *witness {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := &witness{addr: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.talk(c)
		}
	}()
	return w
}

func (w *witness) talk(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(io.TeeReader(c, w))
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		text := fmt.Sprintf("%s %s %q;", r.Method, r.RequestURI, body)
		if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text); err != nil {
			return
		}
	}
}

func (w *witness) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen.Write(p)
}

// take gives what came since the last take.
func (w *witness) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.seen.Reset()
	return w.seen.String()
}

// corpus reads the requests that package strict is tested with.
func corpus(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("strict", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(data)) {
		what, quoted, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if all[what], err = strconv.Unquote(quoted); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	return all
}

// converse sends bytes on a connection of their own, and gives all that comes
// back until the router closes it, or has answered want times.
func (r *rig) converse(text string, want int) []string {
	r.t.Helper()
	c, err := net.Dial("tcp", r.listen)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		r.t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		r.t.Fatal(err)
	}
	var answers []string
	for in := bufio.NewReader(c); len(answers) < want; {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return answers
		}
		body, _ := io.ReadAll(res.Body)
		answers = append(answers, fmt.Sprint(res.StatusCode, " ", string(body)))
	}
	return answers
}

// What two servers could read in two ways gets an error, and not one byte of
// it that matters reaches an instance: no head that ended, no second request.
func TestSmuggledRequestsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	r := start(t, Options{})
	r.put(r.route(w.addr, "", 0))
	const hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
	for what, text := range corpus(t, "refused.txt") {
		late := strings.Contains(text, "\r\n\r\n") && (strings.HasPrefix(what, "chunk: ") || strings.HasPrefix(what, "trailer ") || what == "late preface")
		answers := r.converse(text+hidden, 3)
		seen := w.take()
		if strings.Contains(seen, "hidden") {
			t.Errorf("%s: the instance saw %q", what, seen)
		}
		if len(answers) == 0 && !late {
			t.Errorf("%s: no answer", what)
		}
		for i, a := range answers {
			if good := strings.HasPrefix(a, "200"); good && (what != "late preface" || i > 0) {
				t.Errorf("%s: answered with %q", what, a)
			}
		}
		if !late && seen != "" {
			t.Errorf("%s: the instance saw %q", what, seen)
		}
	}
}

// What is in order arrives as it was sent: as many requests, with the same bodies.
func TestWholeRequestsArriveOnce(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	r := start(t, Options{})
	r.put(r.route(w.addr, "", 0))
	for what, text := range corpus(t, "passed.txt") {
		if what == "options" {
			continue // the server answers it
		}
		in := bufio.NewReader(strings.NewReader(text))
		var want []string
		for {
			req, err := http.ReadRequest(in)
			if err != nil {
				break
			}
			body, err := io.ReadAll(req.Body)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, fmt.Sprintf("200 %s %s %q;", req.Method, req.URL.RequestURI(), body))
		}
		if got := r.converse(text, len(want)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
		if seen := w.take(); strings.Count(seen, " HTTP/1.1\r\n") != len(want) {
			t.Errorf("%s: the instance saw %q", what, seen)
		}
	}
}

func TestHopHeadersEndAtTheRouter(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	r := start(t, Options{})
	r.put(r.route(w.addr, "", 0))
	for _, c := range []struct {
		what, head string
		never      []string
		always     []string
	}{
		{
			"listed headers", "Connection: keep-alive, X-Secret, X-Forwarded-For\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nTE: trailers, gzip\r\n" +
				"Proxy-Connection: close\r\nProxy-Authorization: x\r\nX-Kept: 1\r\n",
			[]string{"X-Secret", "Keep-Alive", "gzip", "Proxy-", "Connection"},
			[]string{"X-Kept: 1\r\n", "X-Forwarded-For: 127.0.0.1\r\n", "Te: trailers\r\n"},
		},
		{
			"upgrade to h2c", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
			[]string{"pgrade", "ettings"}, nil,
		},
		{"upgrade to a list", "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n", []string{"pgrade"}, nil},
		{"upgrade to tls", "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n", []string{"pgrade"}, nil},
		{"upgrade to websocket", "Connection: Upgrade\r\nUpgrade: websocket\r\n", nil, []string{"Upgrade: websocket\r\n"}},
		{"forged", "X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-Prefix: /\r\n", []string{"6.6.6.6", "Prefix", "Forwarded:"}, nil},
	} {
		if got := r.converse("GET /x HTTP/1.1\r\nHost: a\r\n"+c.head+"\r\n", 1); len(got) != 1 || !strings.HasPrefix(got[0], "200") {
			t.Errorf("%s: %q", c.what, got)
		}
		seen := w.take()
		for _, text := range c.never {
			if strings.Contains(seen, text) {
				t.Errorf("%s: the instance saw %q", c.what, seen)
			}
		}
		for _, text := range c.always {
			if !strings.Contains(seen, text) {
				t.Errorf("%s: no %q in %q", c.what, text, seen)
			}
		}
	}
}

// In HTTP/2 a target may hold spaces. To an instance that speaks HTTP/1.1 it
// would be over at the first of them.
func TestATargetWithSpacesIsRefused(t *testing.T) {
	t.Parallel()
	w := newWitness(t)
	r := start(t, Options{})
	r.put(r.route(w.addr, "", 0))
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		req, err := http.NewRequestWithContext(r.ctx, method, r.url("/x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.RawQuery = "a HTTP/1.1"
		res, err := h2c(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if seen := w.take(); res.StatusCode != http.StatusBadRequest || seen != "" {
			t.Errorf("%s: %s, the instance saw %q", method, res.Status, seen)
		}
	}
}
