package router

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whatever an instance answers reaches the client as net/http's own proxy
// and transport pass it on.
func FuzzDirect(f *testing.F) {
	for _, s := range []string{
		okAnswer,
		"HTTP/1.1 200 OK\r\n\r\nuntil the end",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n0\r\nA: b\r\nC: d\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\nrest",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: y\r\nY: z\r\n\r\n" + okAnswer,
		"HTTP/1.1 200 OK\r\nConnection: X-Own, close\r\nX-Own: 1\r\nKeep-Alive: 1\r\nUpgrade: x\r\nA: 1\r\nA: 2\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 999 x\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n", "",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, answer string, head bool) {
		if strings.Contains(answer, " 101") || len(answer) > 4<<10 || impossible(answer) {
			return
		}
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		d := rawDirect(t, scripted(t, func(c net.Conn, _ int) bool {
			says(c, answer)
			return false
		}))
		want, wrong := hear(d.rest, plainRequest(t.Context(), method))
		for _, d.moment = range []time.Duration{0, firstMoment} {
			got, err := hear(d, plainRequest(t.Context(), method))
			if (err == nil) != (wrong == nil) {
				t.Fatalf("%v; by a transport %v", err, wrong)
			}
			if err == nil && !got.same(want) {
				t.Fatalf("%+v %v\nby a transport\n%+v %v", got.Result(), got.interim, want.Result(), want.interim)
			}
		}
	})
}

// impossible statuses make ReverseProxy panic.
func impossible(answer string) bool {
	in := bufio.NewReader(strings.NewReader(answer))
	for {
		res, err := http.ReadResponse(in, nil)
		switch {
		case err != nil || res.StatusCode >= 200:
			return false
		case res.StatusCode < 100:
			return true
		}
	}
}

func TestDirectRefusesAnImpossibleStatus(t *testing.T) {
	t.Parallel()
	d := rawDirect(t, scripted(t, func(c net.Conn, _ int) bool { return says(c, "HTTP/1.1 099 x\r\n\r\n") }))
	if _, _, err := ask(d, t.Context(), http.MethodGet); err == nil {
		t.Error("it is passed on")
	}
}

func (h *hearer) same(other *hearer) bool {
	a, b := h.Result(), other.Result()
	return a.StatusCode == b.StatusCode && sameHeader(a.Header, b.Header) && sameHeader(a.Trailer, b.Trailer) &&
		bytes.Equal(h.Body.Bytes(), other.Body.Bytes()) && slices.Equal(h.interim, other.interim)
}

func sameHeader(a, b http.Header) bool {
	var one, other strings.Builder
	_ = a.Write(&one)
	_ = b.Write(&other)
	return one.String() == other.String()
}

// Whatever a client asks in a plain request is written to the last byte as
// net/http's own proxy and transport write it.
func FuzzPlainRequest(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /a%2Fb/../c?x=1;y&z=%zz HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: x\r\nUser-Agent: y\r\nAccept: */*\r\n\r\n",
		"HEAD //x?? HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close, X-Gone, user-agent, te\r\nX-Gone: 1\r\nUser-Agent: x\r\nTE: gzip, Trailers\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\nKeep-Alive: 5\r\nContent-Length: 0\r\nForwarded: for=x\r\nX-Forwarded-For: 1\r\n\r\n",
		"GET http://b/c HTTP/1.0\r\nHost: a\r\nConnection: X-Forwarded-For, keep-alive\r\nX-Forwarded-For: 1\r\nB: \t 2 \r\na: 1\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil || len(data) > 8<<10 || !isPlain(r) {
			return
		}
		got, want := appendRequest(nil, r), byReverseProxy(r)
		if !bytes.Equal(got, want) {
			t.Fatalf("%q:\nwritten %q\nwant    %q", data, got, want)
		}
	})
}

// byReverseProxy is what ReverseProxy sends.
func byReverseProxy(r *http.Request) []byte {
	var out bytes.Buffer
	e := &env{buffers: newBufferPool()}
	p := newProxy("instance", carrier(func(r *http.Request) (*http.Response, error) {
		return nil, r.Write(&out)
	}), e)
	p.ErrorHandler = func(http.ResponseWriter, *http.Request, error) {}
	p.ServeHTTP(nil, r)
	return out.Bytes()
}

type carrier func(*http.Request) (*http.Response, error)

func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := c(r)
	if err == nil {
		err = io.EOF
	}
	return res, err
}

func plainRequest(ctx context.Context, method string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, "http://instance/", nil)
	if err != nil {
		panic(err)
	}
	return r
}
