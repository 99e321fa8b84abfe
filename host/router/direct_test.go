package router

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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

// rawDirect asks addr, and tells a hearer what went wrong. Nothing is waited
// for without a watch.
func rawDirect(t testing.TB, addr string) *direct {
	e := &env{Options: Options{Now: time.Now}, errlog: log.New(io.Discard, "", 0), buffers: newBufferPool()}
	to := newConns(addr, e)
	d := newDirect(addr, to, e)
	d.rest.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) { w.(*hearer).err = err }
	t.Cleanup(func() {
		to.close()
		d.CloseIdleConnections()
	})
	return d
}

// hearer is the client of a handler.
type hearer struct {
	*httptest.ResponseRecorder
	interim []string
	err     error
}

// WriteHeader notes answers before the answer, but for the 100 that a recorder
// holds back.
func (h *hearer) WriteHeader(status int) {
	if status >= 200 {
		h.ResponseRecorder.WriteHeader(status)
		return
	}
	if status != http.StatusContinue {
		header, gone := h.Header().Clone(), listed(h.Header())
		maps.DeleteFunc(header, func(name string, _ []string) bool { return isHop(name) || slices.Contains(gone, name) })
		h.interim = append(h.interim, fmt.Sprint(status, header))
	}
}

var errCut = errors.New("the answer was cut")

// ask gives the answer and its body.
func ask(h http.Handler, ctx context.Context, method string) (*http.Response, string, error) {
	w, err := hear(h, plainRequest(ctx, method))
	if err != nil {
		return nil, "", err
	}
	return w.Result(), w.Body.String(), nil
}

func hear(h http.Handler, r *http.Request) (w *hearer, err error) {
	w = &hearer{ResponseRecorder: httptest.NewRecorder()}
	defer func() {
		switch cause := recover(); cause {
		case nil:
			err = w.err
		case http.ErrAbortHandler:
			err = errCut
		default:
			panic(cause)
		}
	}()
	h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, &http.Server{})))
	return w, nil
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
	d := rawDirect(t, scripted(t, func(c net.Conn, n int) bool {
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
	d := rawDirect(t, scripted(t, func(c net.Conn, n int) bool { return n == 1 && says(c, okAnswer) }))
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
func TestAResetOfANewConnectionIsAskedAgain(t *testing.T) {
	t.Parallel()
	addr, dial := closesAtOnce(t)
	d := rawDirect(t, addr)
	d.conns.reach = dial
	if _, _, err := ask(d, t.Context(), http.MethodGet); !isConnect(err) {
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

// Who resets every connection is asked twice, not for ever. Wine at times makes
// an end in order of a reset: it is left out there.
func TestResetsAreNotAskedForEver(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	d := rawDirect(t, scripted(t, func(c net.Conn, _ int) bool {
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
	d := rawDirect(t, scripted(t, func(c net.Conn, n int) bool {
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
	if got := d.take(t.Context()); got != nil {
		t.Error("a connection with an answer to no question is used")
	}
}

func TestDirectDropsWhatWasSentWithTheAnswer(t *testing.T) {
	t.Parallel()
	d := rawDirect(t, scripted(t, func(c net.Conn, _ int) bool { return says(c, okAnswer+"HTTP/1.1 200 OK\r\n") }))
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
		d := rawDirect(t, scripted(t, func(c net.Conn, _ int) bool { return says(c, head) }))
		if _, _, err := ask(d, t.Context(), http.MethodGet); !errors.Is(err, errHeaderTooLong) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestDirectRefusesAnotherProtocol(t *testing.T) {
	t.Parallel()
	d := rawDirect(t, scripted(t, func(c net.Conn, _ int) bool {
		return says(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
	}))
	if _, _, err := ask(d, t.Context(), http.MethodGet); !errors.Is(err, errUnasked) {
		t.Error(err)
	}
}

func TestDirectEndsWithItsClient(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 2)
	d := rawDirect(t, scripted(t, func(c net.Conn, n int) bool {
		asked <- struct{}{}
		return says(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n12")
	}))
	for _, d.moment = range []time.Duration{0, firstMoment} {
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
		if _, _, err := ask(d, ctx, http.MethodGet); !errors.Is(err, left) {
			t.Errorf("with a client that has left: %v", err)
		}
	}
}

// What takes longer than a moment is the same connection's answer still, and
// only who waits for it is watched.
func TestDirectWaitsLonger(t *testing.T) {
	t.Parallel()
	d := rawDirect(t, "")
	d.moment = 0
	d.conns.addr = scripted(t, func(c net.Conn, n int) bool {
		return says(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n") && says(c, "\r\no") && says(c, fmt.Sprint(n))
	})
	for n := 1; n < 10; n++ {
		if _, body, err := ask(d, t.Context(), http.MethodGet); err != nil || body != fmt.Sprint("o", n) {
			t.Fatalf("%q, %v", body, err)
		}
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
		"no host":     func(r *http.Request) { r.Host = "" },
		"odd host":    func(r *http.Request) { r.Host = "shöp" },
		"zone":        func(r *http.Request) { r.Host = "[fe80::1%25eth0]" },
		"odd query":   func(r *http.Request) { r.URL.RawQuery = "a b" },
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
