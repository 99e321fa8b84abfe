package router

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-shipper/shipper/release"
)

// scripted is an instance that reads the heads of requests and answers each
// as it is told; false ends the connection.
func scripted(t testing.TB, answer func(c net.Conn, nth int) bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for n := 1; ; n++ {
					if _, err := http.ReadRequest(in); err != nil || !answer(c, n) {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func says(c net.Conn, text string) bool {
	_, err := io.WriteString(c, text)
	return err == nil
}

func newDirect(t testing.TB, addr string) *direct {
	to := newConns(addr, &env{})
	t.Cleanup(to.close)
	return &direct{conns: to, other: newPool(to)}
}

// ask tells the answer and its body.
func ask(rt http.RoundTripper, ctx context.Context, method string) (*http.Response, string, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://instance/", nil)
	if err != nil {
		return nil, "", err
	}
	res, err := rt.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

func (d *direct) idleLines() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.idle)
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestDirectKeepsOneConnection(t *testing.T) {
	t.Parallel()
	var second atomic.Bool
	d := newDirect(t, scripted(t, func(c net.Conn, n int) bool {
		second.Store(n == 2)
		return says(c, okAnswer)
	}))
	for range 2 {
		if _, body, err := ask(d, t.Context(), http.MethodGet); err != nil || body != "ok" {
			t.Fatalf("%q, %v", body, err)
		}
	}
	if !second.Load() || d.idleLines() != 1 {
		t.Errorf("on the same connection: %v; idle: %d", second.Load(), d.idleLines())
	}
	d.CloseIdleConnections()
	if n := d.idleLines(); n != 0 {
		t.Errorf("%d connections are kept", n)
	}
}

// An instance may close a kept connection at any time: nobody notices.
func TestDirectAsksAgainOverAFreshConnection(t *testing.T) {
	t.Parallel()
	d := newDirect(t, scripted(t, func(c net.Conn, n int) bool { return n == 1 && says(c, okAnswer) }))
	for range 3 {
		if _, body, err := ask(d, t.Context(), http.MethodGet); err != nil || body != "ok" {
			t.Fatalf("%q, %v", body, err)
		}
	}
}

// closesAtOnce is an instance that stops while a connection waits to be
// accepted: the first one is up, and reset with the listener.
func closesAtOnce(t *testing.T) (addr string, dial func(context.Context, string) (net.Conn, error)) {
	t.Helper()
	l, err := net.Listen("tcp", freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String(), func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if addr == l.Addr().String() {
			l.Close()
		}
		return c, err
	}
}

// What an instance that stops has not accepted it never saw: that is no
// answer, and stable gives one.
func TestDirectAsksAgainWhenANewConnectionIsReset(t *testing.T) {
	t.Parallel()
	addr, dial := closesAtOnce(t)
	to := newConns(addr, &env{Options: Options{Dial: dial}})
	t.Cleanup(to.close)
	if _, _, err := ask(&direct{conns: to, other: newPool(to)}, t.Context(), http.MethodGet); !isConnect(err) {
		t.Errorf("an instance that has stopped is taken for one that gave up: %v", err)
	}
}

func TestStableAnswersForACanaryThatResets(t *testing.T) {
	t.Parallel()
	addr, dial := closesAtOnce(t)
	r := start(t, Options{Dial: dial})
	r.put(r.route(backend(t, "blue"), addr, release.Full))
	if code, text := r.get("/"); code != http.StatusOK || text != "blue" {
		t.Errorf("%d %q", code, text)
	}
	if c := r.counters(release.Green); c.Connect != 1 || c.Errors() != 1 {
		t.Errorf("the canary counted %+v", c)
	}
}

// Who resets every connection is asked twice, not for ever.
func TestDirectDoesNotAskForEver(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	d := newDirect(t, scripted(t, func(c net.Conn, _ int) bool {
		asked.Add(1)
		_ = c.(*net.TCPConn).SetLinger(0)
		return false
	}))
	if _, _, err := ask(d, t.Context(), http.MethodGet); !isReset(err) || asked.Load() != 2 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
}

// Who sends more than it was asked for would answer the next client with it.
func TestDirectTakesNoAnswerThatCameBefore(t *testing.T) {
	t.Parallel()
	sent := make(chan struct{})
	d := newDirect(t, scripted(t, func(c net.Conn, n int) bool {
		if n > 1 {
			return says(c, okAnswer)
		}
		// In a piece of its own, so that it is not read with the first.
		go func() {
			<-sent
			says(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
			sent <- struct{}{}
		}()
		return says(c, okAnswer)
	}))
	if _, body, err := ask(d, t.Context(), http.MethodGet); err != nil || body != "ok" {
		t.Fatalf("%q, %v", body, err)
	}
	sent <- struct{}{}
	<-sent
	d.mu.Lock()
	l := d.idle[0]
	d.mu.Unlock()
	for l.silent() { // until it has travelled
	}
	if got := d.take(); got != nil {
		t.Error("a connection with an answer to no question is used")
	}
}

func TestDirectDropsWhatWasSentWithTheAnswer(t *testing.T) {
	t.Parallel()
	d := newDirect(t, scripted(t, func(c net.Conn, _ int) bool { return says(c, okAnswer+"HTTP/1.1 200 OK\r\n") }))
	if _, body, err := ask(d, t.Context(), http.MethodGet); err != nil || body != "ok" {
		t.Fatalf("%q, %v", body, err)
	}
	if n := d.idleLines(); n != 0 {
		t.Errorf("%d connections are kept", n)
	}
}

func TestDirectBoundsHeaders(t *testing.T) {
	t.Parallel()
	for what, head := range map[string]string{
		"one header": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n",
		"for ever":   strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", maxHeader/10),
	} {
		d := newDirect(t, scripted(t, func(c net.Conn, _ int) bool { return says(c, head) }))
		if _, _, err := ask(d, t.Context(), http.MethodGet); !errors.Is(err, errHeaderTooLong) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestDirectRefusesAnotherProtocol(t *testing.T) {
	t.Parallel()
	d := newDirect(t, scripted(t, func(c net.Conn, _ int) bool {
		return says(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
	}))
	if _, _, err := ask(d, t.Context(), http.MethodGet); !errors.Is(err, errUnasked) {
		t.Error(err)
	}
}

func TestDirectEndsWithItsClient(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 2)
	d := newDirect(t, scripted(t, func(c net.Conn, n int) bool {
		asked <- struct{}{}
		return says(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n12")
	}))
	ctx, cancel := context.WithCancelCause(t.Context())
	left := errors.New("the client left")
	go func() {
		<-asked
		cancel(left)
	}()
	if _, _, err := ask(d, ctx, http.MethodGet); err == nil {
		t.Error("half an answer is taken for a whole one")
	}
	if n := d.idleLines(); n != 0 {
		t.Errorf("%d connections are kept", n)
	}
	if _, _, err := ask(d, ctx, http.MethodGet); !errors.Is(err, left) && !errors.Is(err, context.Canceled) {
		t.Errorf("with a client that has left: %v", err)
	}
}

func TestDirectLeavesTheRestToATransport(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*http.Request){
		"nothing":     nil,
		"post":        func(r *http.Request) { r.Method = http.MethodPost },
		"body":        func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), 1 },
		"upgrade":     func(r *http.Request) { r.Header.Set("Upgrade", "websocket") },
		"expectation": func(r *http.Request) { r.Header.Set("Expect", "100-continue") },
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://instance/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(r)
		}
		if isPlain(r) != (change == nil) {
			t.Errorf("%s: plain is %v", what, isPlain(r))
		}
	}
}

// Whatever an instance answers is read as net/http's own transport reads it.
func FuzzDirect(f *testing.F) {
	for _, s := range []string{
		okAnswer,
		"HTTP/1.1 200 OK\r\n\r\nuntil the end",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\nrest",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + okAnswer,
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 999 x\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n", "",
	} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, answer string, head bool) {
		if strings.Contains(answer, " 101") || len(answer) > 4<<10 {
			return
		}
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		addr := scripted(t, func(c net.Conn, _ int) bool {
			says(c, answer)
			return false
		})
		d := newDirect(t, addr)
		res, body, err := ask(d, t.Context(), method)
		want, text, wrong := ask(d.other, t.Context(), method)
		if wrong == nil && want.StatusCode < 100 {
			if err == nil {
				t.Fatalf("%s is passed on", want.Status)
			}
			return
		}
		if (err == nil) != (wrong == nil) || body != text {
			t.Fatalf("%q, %v; by a transport %q, %v", body, err, text, wrong)
		}
		if err == nil && (res.StatusCode != want.StatusCode || res.ContentLength != want.ContentLength || !sameHeader(res.Header, want.Header) || !sameHeader(res.Trailer, want.Trailer)) {
			t.Fatalf("%+v\nby a transport\n%+v", res, want)
		}
	})
}

func sameHeader(a, b http.Header) bool {
	var one, other strings.Builder
	_ = a.Write(&one)
	_ = b.Write(&other)
	return one.String() == other.String()
}
