package router

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// asked is a request as net/http understands it.
type asked struct {
	method, target, host, body string
	header                     http.Header
}

func askedBy(r *http.Request) (asked, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	return asked{r.Method, r.URL.RequestURI(), r.Host, string(body), r.Header.Clone()}, err
}

// FuzzForward compares what a client sends, as net/http understands it, with
// what the instance gets: the same request but for what belongs to one
// connection, what a client may not say, and what the router says itself.
func FuzzForward(f *testing.F) {
	for _, text := range []string{
		"GET /a%2Fb/../c?x=1;y&z=%zz HTTP/1.1\r\nHost: shop.example\r\n\r\n",
		"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX-A: 1\r\nX-A: 2\r\n\r\nabc",
		"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Gone\r\nX-Gone: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=x\r\nX_Real_IP: 1\r\nx-real-ip: 2\r\n\r\n",
		"GET /x HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-For, Host\r\nCookie: a=1; b\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\ntraceparent: 00-bad\r\n\r\n",
	} {
		f.Add([]byte(text))
	}
	got := make(chan asked, 4)
	r := start(f, Options{})
	r.put(r.route(serve(f, func(_ http.ResponseWriter, r *http.Request) {
		if s, err := askedBy(r); err == nil {
			got <- s
		}
	}), "", 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		sent, ok := oneRequest(data)
		if !ok {
			return
		}
		if status := r.exchange(t, data); status != http.StatusOK {
			if len(got) > 0 {
				t.Fatalf("%q: the client is told %d, the instance got %+v", data, status, <-got)
			}
			return // refused: it may be stricter
		}
		if len(got) != 1 {
			t.Fatalf("%q: the instance got %d requests", data, len(got))
		}
		arrived := <-got
		if sent.host == "" { // of HTTP/1.0; 1.1 has to name one
			arrived.host = ""
		}
		if sent.method != arrived.method || sent.host != arrived.host || sent.body != arrived.body || sent.target != arrived.target {
			t.Fatalf("%q:\nsent    %+v\narrived %+v", data, sent, arrived)
		}
		if lost, more := differ(passed(sent.header), passed(arrived.header)); lost != "" || more != "" {
			t.Fatalf("%q: header lost %q, come in %q", data, lost, more)
		}
		for header, want := range map[string]string{forwardedFor: "127.0.0.1", forwardedHost: sent.host, forwardedProto: "http"} {
			if v := arrived.header[header]; len(v) != 1 || v[0] != want {
				t.Fatalf("%q: %s is %q, want %q", data, header, v, want)
			}
		}
	})
}

// oneRequest reads data that is one whole request and no more, without an
// upgrade or a wait for 100.
func oneRequest(data []byte) (asked, bool) {
	if len(data) > 8<<10 {
		return asked{}, false
	}
	in := bufio.NewReader(strings.NewReader(string(data)))
	r, err := http.ReadRequest(in)
	if err != nil || r.URL.Host != "" || r.Method == http.MethodConnect {
		return asked{}, false
	}
	s, err := askedBy(r)
	if err != nil || in.Buffered() > 0 || r.Header.Get("Expect") != "" || r.Header.Get("Upgrade") != "" {
		return asked{}, false
	}
	return s, true
}

// exchange sends the bytes, ends, and gives the status of the answer; 0: none.
func (r *rig) exchange(t *testing.T, data []byte) int {
	t.Helper()
	conn, err := net.Dial("tcp", r.listen)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(data); err != nil {
		return 0
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

// passed is what of a header should arrive as it is.
func passed(h http.Header) http.Header {
	h = h.Clone()
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(textproto.TrimString(name))
		}
	}
	for _, name := range []string{
		"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Content-Length", traceparent, tracestate,
	} {
		delete(h, name)
	}
	for name := range h {
		plain := strings.ReplaceAll(strings.ToUpper(name), "_", "-")
		if strings.HasPrefix(plain, "X-FORWARDED-") || plain == "FORWARDED" || plain == "X-REAL-IP" {
			delete(h, name)
		}
	}
	return h
}

func differ(a, b http.Header) (lost, more string) {
	for name := range a {
		if !reflect.DeepEqual(a[name], b[name]) {
			lost += fmt.Sprintf("%s: %q, ", name, a[name])
		}
	}
	for name := range b {
		if !slices.Equal(a[name], b[name]) {
			more += fmt.Sprintf("%s: %q, ", name, b[name])
		}
	}
	return lost, more
}

// Who speaks HTTP/1.0 would take an interim answer for the answer.
func TestHTTP10GetsNoInterimAnswer(t *testing.T) {
	t.Parallel()
	r := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprint(w, "yes")
	})
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		res := r.raw(method + " / HTTP/1.0\r\nHost: a\r\n\r\n")
		if text, err := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || string(text) != "yes" {
			t.Errorf("%s: %s %q, %v", method, res.Status, text, err)
		}
	}
}
