package router

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// behind starts a router with one instance.
func behind(t *testing.T, h http.HandlerFunc) *rig {
	t.Helper()
	r := start(t, Options{})
	r.put(r.route(serve(t, h), "", 0))
	return r
}

func TestHeadersThatArrive(t *testing.T) {
	t.Parallel()
	r := behind(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Host, "|", r.Header["X-Forwarded-For"], "|", r.Header.Get("X-Forwarded-Proto"), "|",
			r.Header.Get("X-Forwarded-Host"), "|", r.RequestURI, "|", r.Header["Accept-Encoding"], "|", r.Header["User-Agent"])
	})
	res := r.raw("GET /a%2Fb/../c?x=1;y&z=%zz HTTP/1.1\r\nHost: shop.example\r\n" +
		"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n")
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := "shop.example|[127.0.0.1]|http|shop.example|/a%2Fb/../c?x=1;y&z=%zz|[]|[]"
	if string(text) != want {
		t.Errorf("the instance saw %s\nwant                %s", text, want)
	}
}

// raw sends bytes as they are.
func (r *rig) raw(request string) *http.Response {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.listen)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		r.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

func TestConnectIsRefused(t *testing.T) {
	t.Parallel()
	r := behind(t, say("no"))
	if res := r.raw("CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n"); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("CONNECT: %s", res.Status)
	}
}

func TestWebSocketEcho(t *testing.T) {
	t.Parallel()
	r := behind(t, upgradeEcho)
	conn, in := r.upgrade()
	for i := range 3 {
		line := fmt.Sprintf("hello %d\n", i)
		if _, err := io.WriteString(conn, line); err != nil {
			t.Fatal(err)
		}
		if got, err := in.ReadString('\n'); err != nil || got != line {
			t.Fatalf("echo %q, %v", got, err)
		}
	}
	if c := r.counters(release.Blue); c.Requests != 1 || c.Inflight != 1 {
		t.Errorf("an open tunnel counted %d requests, %d in flight", c.Requests, c.Inflight)
	}
	// The client has said all; what the instance still says must arrive.
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(in); err != nil || string(got) != "bye\n" {
		t.Errorf("after half-close: %q, %v", got, err)
	}
	conn.Close()
	r.eventually("the tunnel is gone", func() bool { return r.counters(release.Blue).Inflight == 0 })
	if c := r.counters(release.Blue); c.Requests != 1 || c.Errors()+c.Canceled != 0 {
		t.Errorf("a tunnel that ended counted %+v", c)
	}
}

// upgradeEcho speaks a line protocol after the upgrade and says bye at its end.
func upgradeEcho(w http.ResponseWriter, _ *http.Request) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n")
	_, _ = io.Copy(conn, buf)
	fmt.Fprint(conn, "bye\n")
}

func (r *rig) upgrade() (net.Conn, *bufio.Reader) {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.listen)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n")
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		r.t.Fatalf("upgrade: %v, %v", res, err)
	}
	return conn, in
}

// TestStreamBothWays sends 20 MB up while as much comes down, each side only
// as far as the other follows.
func TestStreamBothWays(t *testing.T) {
	t.Parallel()
	const size, chunk = 20 << 20, 64 << 10
	r := behind(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		buf := make([]byte, chunk)
		for {
			n, err := io.ReadFull(r.Body, buf)
			_, _ = w.Write(buf[:n])
			_ = rc.Flush()
			if err != nil {
				return
			}
		}
	})
	up, feed := io.Pipe()
	req, err := http.NewRequestWithContext(r.ctx, http.MethodPost, r.url("/"), up)
	if err != nil {
		t.Fatal(err)
	}
	sent, got := sha256.New(), sha256.New()
	echoed := make(chan struct{}, 1)
	go feedInStep(feed, sent, size/chunk, chunk, echoed)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	buf := make([]byte, chunk)
	for range size / chunk {
		if _, err := io.ReadFull(res.Body, buf); err != nil {
			t.Fatal(err)
		}
		got.Write(buf)
		echoed <- struct{}{}
	}
	if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		t.Error("what came back is not what was sent")
	}
}

// feedInStep sends a chunk only after the one before came back.
func feedInStep(w *io.PipeWriter, sent hash.Hash, chunks, size int, echoed <-chan struct{}) {
	for i := range chunks {
		data := bytes.Repeat([]byte{byte(i)}, size)
		sent.Write(data)
		if _, err := w.Write(data); err != nil {
			return
		}
		<-echoed
	}
	w.Close()
}

func TestTrailersAndInterimAnswers(t *testing.T) {
	t.Parallel()
	r := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "Sum")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "one")
		_ = http.NewResponseController(w).Flush()
		fmt.Fprint(w, "two")
		w.Header().Set("Sum", "6")
		w.Header().Set(http.TrailerPrefix+"Late", "yes")
	})
	res, err := http.Get(r.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || string(text) != "onetwo" || res.StatusCode != http.StatusCreated {
		t.Errorf("%s %q, %v", res.Status, text, err)
	}
	if res.Trailer.Get("Sum") != "6" || res.Trailer.Get("Late") != "yes" {
		t.Errorf("trailers %v", res.Trailer)
	}
}

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	r := behind(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	for path, want := range map[string]int{"/yes": http.StatusOK, "/no": http.StatusExpectationFailed} {
		conn, err := net.Dial("tcp", r.listen)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", path)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want == http.StatusOK {
			if res.StatusCode != http.StatusContinue {
				t.Fatalf("first answer %s", res.Status)
			}
			fmt.Fprint(conn, "hello")
			if res, err = http.ReadResponse(in, nil); err != nil {
				t.Fatal(err)
			}
		}
		if res.StatusCode != want {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

func TestAnEarlyRefusalReachesAClientThatStillSends(t *testing.T) {
	t.Parallel()
	r := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_ = http.NewResponseController(w).Flush()
	})
	body, feed := io.Pipe()
	defer feed.Close()
	go func() { _, _ = feed.Write([]byte("some")) }()
	req, err := http.NewRequestWithContext(r.ctx, http.MethodPost, r.url("/"), body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %s", res.Status)
	}
}

func TestEachFailureHasItsCounter(t *testing.T) {
	t.Parallel()
	r := behind(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/500":
			w.WriteHeader(http.StatusInternalServerError)
		case "/404":
			w.WriteHeader(http.StatusNotFound)
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/cut":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	for _, c := range []struct {
		path string
		want rpc.SlotCounters
	}{
		{"/200", rpc.SlotCounters{Requests: 1}},
		{"/500", rpc.SlotCounters{Requests: 2, Status5xx: 1}},
		{"/404", rpc.SlotCounters{Requests: 3, Status5xx: 1, Status4xx: 1}},
		{"/abort", rpc.SlotCounters{Requests: 4, Status5xx: 1, Status4xx: 1, Aborted: 1}},
		{"/cut", rpc.SlotCounters{Requests: 5, Status5xx: 1, Status4xx: 1, Aborted: 2}},
	} {
		r.try(c.path)
		var got rpc.SlotCounters
		r.eventually("counted "+c.path, func() bool {
			got = r.counters(release.Blue)
			return total(got.Latency) == c.want.Requests // the last of what is counted
		})
		got.Latency, got.Bytes, got.Inflight = nil, 0, 0
		got.Took, got.Clients, got.ClientErrors = 0, 0, 0 // the latter are counted a moment later
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("after %s: %+v, want %+v", c.path, got, c.want)
		}
	}
}

func total(buckets []int64) (sum int64) {
	for _, n := range buckets {
		sum += n
	}
	return sum
}

func TestAClientThatLeavesIsNoError(t *testing.T) {
	t.Parallel()
	came := make(chan struct{})
	r := behind(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			_ = http.NewResponseController(w).EnableFullDuplex()
			_ = http.NewResponseController(w).Flush()
		}
		came <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	for i, withBody := range []bool{false, true} {
		for j, path := range []string{"/", "/stream"} {
			ctx, leave := context.WithCancel(r.ctx)
			var body io.Reader = http.NoBody
			if withBody {
				body = endless{ctx}
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url(path), body)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				<-came
				leave()
			}()
			res, err := http.DefaultClient.Do(req)
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: %v", path, err)
			}
			want := int64(2*i + j + 1)
			r.eventually("counted", func() bool { return r.counters(release.Blue).Canceled == want })
			if c := r.counters(release.Blue); c.Requests != want || c.Errors() != 0 || total(c.Latency) != 0 {
				t.Errorf("%s: %+v", path, c)
			}
		}
	}
}

// endless is a body of which nothing comes until its client leaves.
type endless struct{ ctx context.Context }

func (e endless) Read([]byte) (int, error) {
	<-e.ctx.Done()
	return 0, e.ctx.Err()
}

func (e endless) Close() error { return nil }

func TestStableThatIsGoneNeverMovesClientsToTheCanary(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Draw: func(n int) int { return n - 1 }}) // always the rest
	r.put(r.route(freeAddr(t), backend(t, "green"), 5000))
	if code, text := r.get("/"); code != http.StatusBadGateway || strings.Contains(text, "green") {
		t.Errorf("got %d %q", code, text)
	}
	if c := r.counters(release.Blue); c.Connect != 1 || c.Requests != 1 || total(c.Latency) != 0 {
		t.Errorf("stable counted %+v", c)
	}
	if c := r.counters(release.Green); c.Requests != 0 {
		t.Errorf("the canary counted %+v", c)
	}
}

func TestACanaryThatIsGoneCostsNoAnswer(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	r.put(r.route(serve(t, echo), freeAddr(t), release.Full))
	body := strings.Repeat("x", 1<<20)
	res, err := http.Post(r.url("/?a;b=1"), "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); err != nil || string(got) != body {
		t.Errorf("%s, %d bytes, %v", res.Status, len(got), err)
	}
	blue, green := r.counters(release.Blue), r.counters(release.Green)
	if green.Connect != 1 || green.Fallback != 1 || green.Requests != 1 || blue.Requests != 1 || blue.Errors() != 0 {
		t.Errorf("blue %+v, green %+v", blue, green)
	}
}

func TestDrainWaitsForAnswersAndThenCuts(t *testing.T) {
	t.Parallel()
	came, leave := make(chan struct{}), make(chan struct{})
	r := start(t, Options{})
	blue := serve(t, func(w http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		select {
		case <-leave:
		case <-r.Context().Done():
		}
		fmt.Fprint(w, "blue")
	})
	green := backend(t, "green")
	r.put(r.route(blue, "", 0))
	slow := make(chan string, 1)
	go func() {
		_, text := r.get("/")
		slow <- text
	}()
	<-came
	r.put(Route{
		Service: name, Listen: r.listen, Stable: release.Green, DrainTimeout: 10 * time.Second,
		Slots: map[release.Slot]string{release.Blue: blue, release.Green: green},
	})
	drained := make(chan error, 1)
	go func() {
		_, err := r.Drain(r.ctx, name, release.Blue)
		drained <- err
	}()
	r.eventually("drain began", func() bool { return len(r.view().Draining) == 1 })
	if _, text := r.get("/"); text != "green" {
		t.Errorf("during the drain %q answers", text)
	}
	select {
	case err := <-drained:
		t.Fatalf("drain returned with a request in flight: %v", err)
	default:
	}
	close(leave)
	if text := <-slow; text != "blue" {
		t.Errorf("the request in flight got %q", text)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestDrainCutsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	came := make(chan struct{})
	blue := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			upgradeEcho(w, r)
			return
		}
		came <- struct{}{}
		<-r.Context().Done()
	})
	route := r.route(backend(t, "green"), blue, release.Full)
	route.DrainTimeout = time.Millisecond
	r.put(route)
	_, tunnel := r.upgrade()
	answer := make(chan int, 1)
	go func() {
		code, _ := r.get("/")
		answer <- code
	}()
	<-came
	v, err := r.Drain(r.ctx, name, release.Green)
	if err != nil || v.Weight != 0 || v.Canary != "" {
		t.Errorf("drain of a canary: %v, %+v", err, v)
	}
	if text, err := io.ReadAll(tunnel); err != nil || string(text) != "bye\n" {
		t.Errorf("the tunnel ended with %q, %v; want the instance's last word", text, err)
	}
	<-answer
	r.eventually("nothing in flight", func() bool { return r.counters(release.Green).Inflight == 0 })
	if _, err := r.Drain(r.ctx, name, release.Blue); !errors.Is(err, ErrConflict) {
		t.Errorf("drain of stable: %v", err)
	}
	again := r.put(route)
	if len(again.Draining) != 0 {
		t.Errorf("a slot with a role again drains: %+v", again)
	}
}
