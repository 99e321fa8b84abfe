package router

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// h2c is a client that speaks HTTP/2 without TLS from its first byte.
func h2c(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{Protocols: &http.Protocols{}}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// grpc is an instance that speaks nothing but HTTP/2: messages come back one
// by one, and the status is in the trailers.
func grpc(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" {
			w.WriteHeader(http.StatusHTTPVersionNotSupported)
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		if r.URL.Path == "/orders/Fails" {
			w.Header().Set("Grpc-Status", "14") // an answer of trailers only
			return
		}
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		for {
			text, err := frame(r.Body)
			if err != nil {
				break
			}
			send(w, name+" "+text)
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set("Grpc-Message", "done")
	}))
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return addrOf(s)
}

// frame reads a message: a byte that says it is not packed, its length, its bytes.
func frame(r io.Reader) (string, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	text := make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err := io.ReadFull(r, text)
	return string(text), err
}

func send(w io.Writer, text string) {
	head := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text)))
	_, _ = w.Write(append(head, text...))
}

// call talks on a stream: each message is answered before the next is sent.
func (r *rig) call(c *http.Client, path string, messages ...string) (*http.Response, []string) {
	r.t.Helper()
	body, feed := io.Pipe()
	req, err := http.NewRequestWithContext(r.ctx, http.MethodPost, r.url(path), body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	first := make(chan struct{})
	go func() {
		if len(messages) > 0 {
			send(feed, messages[0])
		}
		close(first)
		if len(messages) == 0 {
			feed.Close()
		}
	}()
	res, err := c.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	<-first
	var got []string
	for i := range messages {
		text, err := frame(res.Body)
		if err != nil {
			r.t.Fatal(err)
		}
		got = append(got, text)
		if i+1 < len(messages) {
			send(feed, messages[i+1])
		}
	}
	feed.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		r.t.Fatal(err)
	}
	return res, got
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	route := r.route(grpc(t, "blue"), "", 0)
	route.Speak = rpc.SpeakH2C
	r.put(route)
	c := h2c(t)
	res, got := r.call(c, "/orders/Chat", "one", strings.Repeat("x", 100_000), "three")
	if len(got) != 3 || got[0] != "blue one" || len(got[1]) != 100_005 || got[2] != "blue three" {
		t.Errorf("%d messages", len(got))
	}
	if res.ProtoMajor != 2 || res.Trailer.Get("Grpc-Status") != "0" || res.Trailer.Get("Grpc-Message") != "done" {
		t.Errorf("%s with trailers %v", res.Proto, res.Trailer)
	}
	res, _ = r.call(c, "/orders/Fails")
	if res.Header.Get("Grpc-Status") != "14" {
		t.Errorf("an answer of trailers only: %v %v", res.Header, res.Trailer)
	}
	r.eventually("counted", func() bool { return total(r.counters(release.Blue).Latency) == 2 }) // the last of what is counted
	if n := r.counters(release.Blue); n.Requests != 2 || len(n.GRPC) != 15 || n.GRPC[0] != 1 || n.GRPC[14] != 1 || n.Errors() != 1 {
		t.Errorf("counted %+v", n)
	}
}

// A canary over h2c that is gone costs no call either, and a drain leaves no
// connection.
func TestGRPCFallsBackAndDrains(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	route := r.route(grpc(t, "blue"), freeAddr(t), release.Full)
	route.Speak = rpc.SpeakH2C
	r.put(route)
	if _, got := r.call(h2c(t), "/orders/Chat", "one"); fmt.Sprint(got) != "[blue one]" {
		t.Errorf("without a canary: %q", got)
	}
	if n := r.counters(release.Green); n.Connect != 1 || n.Fallback != 1 {
		t.Errorf("the canary counted %+v", n)
	}
	route = r.route(grpc(t, "blue"), grpc(t, "green"), release.Full)
	route.Speak = rpc.SpeakH2C
	r.put(route)
	c := h2c(t)
	if _, got := r.call(c, "/orders/Chat", "one"); fmt.Sprint(got) != "[green one]" {
		t.Errorf("the canary: %q", got)
	}
	if _, err := r.Drain(r.ctx, name, release.Green); err != nil {
		t.Fatal(err)
	}
	if _, got := r.call(c, "/orders/Chat", "one"); fmt.Sprint(got) != "[blue one]" {
		t.Errorf("after the drain: %q", got)
	}
}

// Clients over HTTP/2 are served by instances that speak HTTP/1.1, and a
// WebSocket reaches one that speaks both.
func TestProtocolsMeet(t *testing.T) {
	t.Parallel()
	both := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			upgradeEcho(w, r)
			return
		}
		fmt.Fprint(w, r.Proto)
	}))
	both.Config.Protocols = &http.Protocols{}
	both.Config.Protocols.SetUnencryptedHTTP2(true)
	both.Config.Protocols.SetHTTP1(true)
	both.Start()
	t.Cleanup(both.Close)
	r := start(t, Options{})
	for speak, want := range map[string]string{rpc.SpeakHTTP: "HTTP/1.1", rpc.SpeakH2C: "HTTP/2.0"} {
		route := r.route(addrOf(both), "", 0)
		route.Speak = speak
		r.put(route)
		res, err := h2c(t).Get(r.url("/"))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(text) != want || res.ProtoMajor != 2 || r.ask("/") != want {
			t.Errorf("speak %s: the instance saw %q, the client %s", speak, text, res.Proto)
		}
		conn, in := r.upgrade()
		fmt.Fprint(conn, "hello\n")
		if line, err := in.ReadString('\n'); err != nil || line != "hello\n" {
			t.Errorf("speak %s: a tunnel says %q, %v", speak, line, err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(in); err != nil || string(text) != "bye\n" {
			t.Errorf("speak %s: the tunnel ended with %q, %v", speak, text, err)
		}
	}
}
