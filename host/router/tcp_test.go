package router

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// lines is an instance that is no HTTP: it says its name, then echoes what it
// hears, and says bye when the client has said all.
func lines(t *testing.T, name string) string {
	t.Helper()
	return talker(t, func(c *net.TCPConn) {
		fmt.Fprintln(c, name)
		_, _ = io.Copy(c, c)
		fmt.Fprint(c, "bye")
	})
}

func talker(t *testing.T, talk func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	t.Cleanup(func() { l.Close(); open.Wait() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer c.Close()
				talk(c.(*net.TCPConn))
			})
		}
	}()
	return l.Addr().String()
}

// tcp is a route in TCP mode.
func (r *rig) tcp(blue, green string, w release.Weight) Route {
	route := r.route(blue, green, w)
	route.Mode = rpc.ModeTCP
	return route
}

func (r *rig) dial() (*net.TCPConn, *bufio.Reader) {
	r.t.Helper()
	c, err := net.Dial("tcp", r.listen)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		r.t.Fatal(err)
	}
	return c.(*net.TCPConn), bufio.NewReader(c)
}

func TestTCPHalfClose(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	r.put(r.tcp(lines(t, "blue"), "", 0))
	c, in := r.dial()
	text := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	go func() {
		_, _ = io.WriteString(c, text)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(in)
	if err != nil || string(got) != "blue\n"+text+"bye" {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	r.eventually("the connection is over", func() bool { return r.counters(release.Blue).Inflight == 0 })
	n := r.counters(release.Blue)
	if n.Requests != 1 || n.Errors()+n.Canceled != 0 || n.Bytes != int64(len(got)) {
		t.Errorf("counted %+v", n)
	}
}

func TestTCPWeightsAndFallback(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Draw: seeded()})
	hello := func() string {
		c, in := r.dial()
		defer c.Close()
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	r.put(r.tcp(lines(t, "blue"), lines(t, "green"), 2500))
	green := 0
	for range 200 {
		if hello() == "green\n" {
			green++
		}
	}
	if green < 25 || green > 80 { // 50, standard deviation 6
		t.Errorf("%d of 200 connections at 25 %%", green)
	}
	r.put(r.tcp(lines(t, "blue"), freeAddr(t), release.Full))
	if got := hello(); got != "blue\n" {
		t.Errorf("without a canary %q answers", got)
	}
	if n := r.counters(release.Green); n.Connect != 1 || n.Fallback != 1 {
		t.Errorf("the canary counted %+v", n)
	}
}

func TestTCPOutcomes(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	silent := talker(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	rude := talker(t, func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 1)); _ = c.SetLinger(0) })
	r.put(r.tcp(silent, "", 0))
	c, _ := r.dial()
	c.Close()
	r.eventually("counted as left", func() bool { return r.counters(release.Blue).Canceled == 1 })
	r.put(r.tcp(rude, "", 0))
	c, in := r.dial()
	fmt.Fprint(c, "x")
	if _, err := in.ReadByte(); err == nil {
		t.Error("a rude instance said something")
	}
	r.eventually("counted as aborted", func() bool { return r.counters(release.Blue).Aborted == 1 })
	r.put(r.tcp(freeAddr(t), "", 0))
	_, in = r.dial()
	if _, err := in.ReadByte(); err == nil {
		t.Error("nobody said something")
	}
	r.eventually("counted as not connected", func() bool { return r.counters(release.Blue).Connect == 1 })
}

func TestTCPDrain(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	blue, green := lines(t, "blue"), lines(t, "green")
	r.put(r.tcp(blue, "", 0))
	_, in := r.dial()
	if line, err := in.ReadString('\n'); err != nil || line != "blue\n" {
		t.Fatalf("%q, %v", line, err)
	}
	next := r.tcp(green, "", 0)
	next.Slots = map[release.Slot]string{release.Blue: blue, release.Green: green}
	next.Stable, next.DrainTimeout = release.Green, time.Millisecond
	r.put(next)
	if _, err := r.Drain(r.ctx, name, release.Blue); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(in); err != nil || string(text) != "bye" {
		t.Errorf("the connection ended with %q, %v; want the instance's last word", text, err)
	}
	_, in = r.dial()
	if line, err := in.ReadString('\n'); err != nil || line != "green\n" {
		t.Errorf("after the drain %q, %v", line, err)
	}
}

func TestTCPUnderTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, Options{})
	trust := issue(t, files(dir, "a"), "a.example")
	route := r.tcp(lines(t, "blue"), "", 0)
	route.TLS = &rpc.TLS{Certificates: []rpc.Certificate{files(dir, "a")}}
	r.put(route)
	c, err := tls.Dial("tcp", r.listen, &tls.Config{RootCAs: trust, ServerName: "a.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "hello")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "blue\nhellobye" {
		t.Errorf("%q, %v", got, err)
	}
}

// An address changes from TCP to HTTP and back without a moment at which it
// is not listened on.
func TestModeChangesInPlace(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	blue, web := lines(t, "blue"), backend(t, "web")
	for range 3 {
		r.put(r.tcp(blue, "", 0))
		_, in := r.dial()
		if line, err := in.ReadString('\n'); err != nil || line != "blue\n" {
			t.Errorf("tcp: %q, %v", line, err)
		}
		r.put(r.route(web, "", 0))
		if _, text := r.get("/"); text != "web" {
			t.Errorf("http: %q", text)
		}
	}
}
