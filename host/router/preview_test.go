package router

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// look asks the preview on a connection of its own; an address that nobody
// serves is status 0.
func (r *rig) look(addr, path string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func (r *rig) wantLook(addr string, status int, text string) {
	r.t.Helper()
	if code, got := r.look(addr, "/any/where"); code != status || !strings.Contains(got, text) {
		r.t.Errorf("the preview answers %d %q, want %d %q", code, got, status, text)
	}
}

// The preview shows the new release and nothing else, whatever its weight and
// for whichever name and path, and the public address is as it was.
func TestPreview(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	addr := freeAddr(t)
	route := r.route(backend(t, "blue"), "", 0)
	route.Slots[release.Green] = backend(t, "green")
	route.Preview, route.Hosts, route.Path = addr, []string{"shop.example.com"}, "/any"
	r.put(route)
	r.wantLook(addr, http.StatusServiceUnavailable, "nothing to preview")
	route.Shown = release.Green
	r.put(route)
	r.wantLook(addr, http.StatusOK, "green")
	if code, _ := r.get("/any/where"); code != http.StatusNotFound { // of another host
		t.Errorf("public: %d", code)
	}
	route.Hosts, route.Path = nil, ""
	r.put(route)
	for range 20 {
		if _, text := r.get("/"); text != "blue" {
			t.Errorf("public: %q", text)
		}
	}
	r.eventually("counted", func() bool { return r.counters(release.Green).Requests == 1 })
	if n := r.counters(release.Green).Units.All; n != 0 {
		t.Errorf("%d units are drawn", n)
	}
	if _, err := r.Drain(r.ctx, name, release.Green); err != nil {
		t.Fatal(err)
	}
	r.wantLook(addr, http.StatusServiceUnavailable, "nothing to preview")
	route.Preview = ""
	r.put(route)
	r.eventually("closed", func() bool { code, _ := r.look(addr, "/"); return code == 0 })
}

// A new release that does not answer is not replaced by stable.
func TestPreviewDoesNotFallBack(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	addr := freeAddr(t)
	route := r.route(backend(t, "blue"), freeAddr(t), 0)
	route.Preview, route.Shown = addr, release.Green
	r.put(route)
	r.wantLook(addr, http.StatusBadGateway, "did not answer")
	if n := r.counters(release.Blue).Requests; n != 0 {
		t.Errorf("stable answered %d", n)
	}
}

// What is held, and what starts, is the public address: the preview is for
// looking at exactly then.
func TestPreviewDoesNotWait(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	addr := freeAddr(t)
	route := r.route(backend(t, "blue"), backend(t, "green"), 0)
	route.Preview, route.Shown, route.Hold = addr, release.Green, time.Minute
	r.put(route)
	r.wantLook(addr, http.StatusOK, "green")
}

// An address that is taken holds nothing up and is tried again; the next
// router takes it, and an end does not leave it open.
func TestPreviewAddressChangesHands(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	addr := freeAddr(t)
	held, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	route := r.route(backend(t, "blue"), backend(t, "green"), 0)
	route.Preview, route.Shown = addr, release.Green
	if v := r.put(route); v.PreviewProblem == "" || v.Problem != "" {
		t.Errorf("an address that is taken: %+v", v)
	}
	held.Close()
	r.eventually("served", func() bool { return r.view().PreviewProblem == "" })
	r.wantLook(addr, http.StatusOK, "green")

	next := launch(t, Options{Dir: r.dir, Name: "next"})
	select {
	case <-r.done: // before that it may be the one before who answers
	case <-r.ctx.Done():
		t.Fatal("the router before does not end")
	}
	r.eventually("shown by the next", func() bool { code, text := r.look(addr, "/"); return code == http.StatusOK && text == "green" })
	if err := next.stop(); err != nil {
		t.Fatal(err)
	}
	if code, _ := r.look(addr, "/"); code != 0 {
		t.Errorf("after the end: %d", code)
	}
}

// A connection that logged on at the preview goes with what is shown, not
// with the slot that it was logged on to.
func TestPreviewIsNoWayToStable(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	addr := freeAddr(t)
	route := r.route(backend(t, "blue"), backend(t, "green"), 0)
	route.Preview, route.Shown = addr, release.Green
	r.put(route)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ask := func() int {
		t.Helper()
		req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, "http://"+addr+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "NTLM hello")
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode
	}
	if code := ask(); code != http.StatusOK {
		t.Fatalf("before the promotion: %d", code)
	}
	route.Stable, route.Canary, route.Shown = release.Green, "", ""
	r.put(route)
	if code := ask(); code != http.StatusServiceUnavailable {
		t.Errorf("after the promotion: %d", code)
	}
}

func TestPreviewOfConnections(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	addr := freeAddr(t)
	route := r.route(banner(t, "blue"), banner(t, "green"), 0)
	route.Mode, route.Preview, route.Shown = rpc.ModeTCP, addr, release.Green
	r.put(route)
	read := func(addr string) string {
		t.Helper()
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		said, _ := io.ReadAll(c) // nothing where nobody is
		return string(said)
	}
	if got := read(addr) + " " + read(r.listen); got != "green blue" {
		t.Errorf("%q", got)
	}
	route.Shown = ""
	r.put(route)
	if got := read(addr); got != "" {
		t.Errorf("nothing is shown, but %q", got)
	}
}

// banner is an instance that says its name and ends.
func banner(t *testing.T, says string) string {
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
			_, _ = io.WriteString(c, says) // who came may be gone
			c.Close()
		}
	}()
	return l.Addr().String()
}

func TestPreviewsThatNoRouteMayAskFor(t *testing.T) {
	t.Parallel()
	route := Route{Service: name, Listen: "127.0.0.1:8080", Slots: map[release.Slot]string{release.Blue: "127.0.0.1:18080"}, Stable: release.Blue}
	for _, preview := range []string{"9090", "127.0.0.1:0", "127.0.0.1:8080", ":8080", ":18080", "web:9090", "127.0.0.1:9464"} {
		route := route
		route.Metrics, route.Preview = "127.0.0.1:9464", preview
		if route.Validate() == nil {
			t.Errorf("preview %q is accepted", preview)
		}
	}
	route.Shown = release.Green
	if route.Validate() == nil {
		t.Error("a slot without an address is shown")
	}
}
