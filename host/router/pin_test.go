package router

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/go-shipper/shipper/release"
)

// logon is an instance as Windows has them: who finishes the two rounds of
// NTLM on a connection is who its later requests are by.
type logon struct {
	name string
	mu   sync.Mutex
	who  map[string]string // by the connection's other end
}

func newLogon(t *testing.T, name string) string {
	t.Helper()
	l := &logon{name: name, who: map[string]string{}}
	s := httptest.NewUnstartedServer(l)
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew || state == http.StateClosed {
			l.mu.Lock()
			defer l.mu.Unlock()
			delete(l.who, c.RemoteAddr().String())
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return addrOf(s)
}

func (l *logon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, said, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	who := l.who[r.RemoteAddr]
	switch {
	case said == "hello":
		l.who[r.RemoteAddr] = "half"
		w.Header().Set("WWW-Authenticate", "NTLM challenge")
		w.WriteHeader(http.StatusUnauthorized)
	case said != "" && who == "half":
		l.who[r.RemoteAddr] = said
		fmt.Fprint(w, l.name, " ", said)
	case said != "":
		w.WriteHeader(http.StatusForbidden) // not on the connection of the challenge
	case who == "" || who == "half":
		fmt.Fprint(w, l.name, " nobody")
	default:
		fmt.Fprint(w, l.name, " ", who)
	}
}

// seat is one connection of a client.
type seat struct {
	t  *testing.T
	c  net.Conn
	in *bufio.Reader
}

func (r *rig) seat(t *testing.T) *seat {
	t.Helper()
	c, in := r.dial()
	return &seat{t, c, in}
}

func (s *seat) ask(authorization string) (int, string) {
	s.t.Helper()
	head := ""
	if authorization != "" {
		head = "Authorization: " + authorization + "\r\n"
	}
	fmt.Fprintf(s.c, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", head)
	res, err := http.ReadResponse(s.in, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// logOn does both rounds.
func (s *seat) logOn(scheme, who string) {
	s.t.Helper()
	if code, _ := s.ask(scheme + " hello"); code != http.StatusUnauthorized {
		s.t.Fatalf("first round: %d", code)
	}
	if code, text := s.ask(scheme + " " + who); code != http.StatusOK || !strings.HasSuffix(text, " "+who) {
		s.t.Fatalf("second round: %d %q", code, text)
	}
}

// Two people and strangers, on connections that take turns: nobody ever gets
// what another one logged on for.
func TestNobodyGetsAnothersLogon(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	r.put(r.route(newLogon(t, "blue"), "", 0))
	ann, bob := r.seat(t), r.seat(t)
	if code, _ := ann.ask("NTLM hello"); code != http.StatusUnauthorized {
		t.Fatal(code)
	}
	bob.logOn("negotiate", "bob") // between ann's two rounds
	if _, text := ann.ask("NTLM ann"); text != "blue ann" {
		t.Fatalf("ann is %q", text)
	}
	for range 20 {
		for s, want := range map[*seat]string{ann: "blue ann", bob: "blue bob"} {
			if _, text := s.ask(""); text != want {
				t.Errorf("%q, want %q", text, want)
			}
		}
		if _, text := r.get("/"); text != "blue nobody" {
			t.Errorf("a stranger is %q", text)
		}
		if text := r.ask("/"); text != "blue nobody" {
			t.Errorf("a stranger who stays is %q", text)
		}
	}
	ann.c.Close()
	var all sync.WaitGroup
	for range 8 { // strangers in a rush, right after she left
		all.Go(func() {
			for range 10 {
				if code, text, err := r.fetch("/", true); err != nil || text != "blue nobody" {
					t.Errorf("after ann left: %d %q, %v", code, text, err)
				}
			}
		})
	}
	all.Wait()
	if _, text := bob.ask(""); text != "blue bob" {
		t.Errorf("bob became %q", text)
	}
}

// A connection stays with its slot whatever the weight is; when the slot takes
// nothing any more it begins at the other one, and there as nobody.
func TestALogonStaysWithItsSlot(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	blue, green := newLogon(t, "blue"), newLogon(t, "green")
	r.put(r.route(blue, green, release.Full))
	s := r.seat(t)
	s.logOn("NTLM", "ann")
	r.put(r.route(blue, green, 1))
	for range 20 {
		if _, text := s.ask(""); text != "green ann" {
			t.Fatalf("at a low weight %q", text)
		}
	}
	if _, err := r.Drain(r.ctx, name, release.Green); err != nil {
		t.Fatal(err)
	}
	if _, text := s.ask(""); text != "blue nobody" {
		t.Errorf("after the drain %q", text)
	}
	s.logOn("NTLM", "ann")
	if _, text := s.ask(""); text != "blue ann" {
		t.Errorf("after logging on again %q", text)
	}
}

// In HTTP/2 a request that logs on has a connection for itself, and it ends
// with it.
func TestALogonOverHTTP2IsForOneRequest(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	r.put(r.route(newLogon(t, "blue"), "", 0))
	c := h2c(t)
	for range 10 {
		for _, auth := range []string{"NTLM hello", ""} {
			req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, r.url("/"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if auth != "" {
				req.Header.Set("Authorization", auth)
			}
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if auth == "" && string(text) != "blue nobody" {
				t.Errorf("%q after a logon over HTTP/2", text)
			}
		}
		if text := r.ask("/"); text != "blue nobody" {
			t.Errorf("a stranger is %q", text)
		}
	}
}
