package reload

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// keeper is a client with one connection that it keeps.
type keeper struct {
	*http.Client
	url string
}

func newKeeper(url string) *keeper {
	return &keeper{&http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}, url}
}

// ask reports whether the connection stays open.
func (k *keeper) ask(t *testing.T) (stays bool) {
	t.Helper()
	resp, err := k.Get(k.url)
	if err != nil {
		t.Error(err)
		return false
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return !resp.Close
}

func serve(t *testing.T, most int64, secured bool) (*Limiter, *Params, string) {
	t.Helper()
	p := NewParams()
	l := NewLimiter(p.Int("max_connections", most, 1, 500, ""))
	s := httptest.NewUnstartedServer(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })))
	s.Listener = l.Listen(s.Listener)
	s.Config.ConnContext = l.ConnContext
	if secured {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return l, p, s.URL
}

// A lower limit moves connections over one by one: each request is answered.
func TestLowerLimitCutsNobodyOff(t *testing.T) {
	l, p, url := serve(t, 20, false)
	var clients []*keeper
	for range 20 {
		k := newKeeper(url)
		defer k.CloseIdleConnections()
		if !k.ask(t) {
			t.Error("told to close below the limit")
		}
		clients = append(clients, k)
	}
	if l.Open() != 20 {
		t.Errorf("%d open", l.Open())
	}
	if err := p.Set(t.Context(), "max_connections", "5"); err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, k := range clients {
		if !k.ask(t) {
			told++
		}
	}
	if told != 15 {
		t.Errorf("%d were told to close, want 15", told)
	}
	for _, k := range clients[15:] {
		if !k.ask(t) {
			t.Error("told to close at the limit")
		}
	}
}

// pipes is a listener whose clients come at once.
type pipes struct{ net.Listener }

func (pipes) Accept() (net.Conn, error) { c, _ := net.Pipe(); return c, nil }

func TestWhoFindsNoRoomWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewParams()
		l := NewLimiter(p.Int("max_connections", 2, 1, 500, ""))
		ln := l.Listen(pipes{})
		accepted := make(chan net.Conn, 100)
		go func() {
			for range 5 {
				c, err := ln.Accept()
				if err != nil {
					t.Error(err)
				}
				accepted <- c
			}
		}()
		for _, step := range []struct {
			change func()
			want   int
		}{
			{func() {}, 2},
			{func() { (<-accepted).Close() }, 2},
			{func() { p.Set(t.Context(), "max_connections", "3") }, 3},
			{func() { p.Set(t.Context(), "max_connections", "1"); (<-accepted).Close() }, 2},
			{func() { p.Set(t.Context(), "max_connections", "500") }, 3},
		} {
			step.change()
			synctest.Wait()
			if n := len(accepted); n != step.want {
				t.Errorf("%d accepted and open, want %d", n, step.want)
			}
		}
	})
}

func TestSecuredConnectionsAreToldToo(t *testing.T) {
	_, p, url := serve(t, 2, true)
	var clients []*keeper
	for range 2 {
		k := newKeeper(url)
		k.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		defer k.CloseIdleConnections()
		k.ask(t)
		clients = append(clients, k)
	}
	p.Set(t.Context(), "max_connections", "1")
	if clients[0].ask(t) || !clients[1].ask(t) {
		t.Error("not one of two was told to close")
	}
}

func TestClosingEndsTheWait(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := NewParams()
	l := NewLimiter(p.Int("max_connections", 1, 1, 500, ""))
	ln := l.Listen(inner)
	l.admit(&net.TCPConn{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if _, err := ln.Accept(); err != net.ErrClosed {
			t.Error(err)
		}
	})
	ln.Close()
	waiting.Wait()
}

// Renew spreads the moves: none at once, all in the end.
func TestRenewIsGradual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewParams()
		l := NewLimiter(p.Int("max_connections", 500, 1, 500, ""))
		var conns []*limited
		for range 100 {
			conn, _ := net.Pipe()
			conns = append(conns, l.admit(conn))
		}
		l.Renew(time.Minute)
		conn, _ := net.Pipe()
		later := l.admit(conn)
		leaving := func() (n int) {
			for _, c := range conns {
				r := httptest.NewRequest("GET", "/", nil)
				w := httptest.NewRecorder()
				l.Handler(http.NotFoundHandler()).ServeHTTP(w, r.WithContext(l.ConnContext(context.Background(), c)))
				if w.Header().Get("Connection") == "close" {
					n++
				}
			}
			return n
		}
		if n := leaving(); n > 10 {
			t.Errorf("%d leave at once", n)
		}
		time.Sleep(30 * time.Second)
		if n := leaving(); n < 20 || n > 80 {
			t.Errorf("%d leave in the middle", n)
		}
		time.Sleep(31 * time.Second)
		if n := leaving(); n != 100 || l.leaves(later) {
			t.Errorf("%d leave in the end", n)
		}
		for _, c := range append(conns, later) {
			c.Close()
			c.Close()
		}
		if l.Open() != 0 || l.leaving != 0 {
			t.Errorf("%d open, %d leaving", l.Open(), l.leaving)
		}
	})
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewParams()
		r := NewRate(p.Int("rate_limit", 100, 1, 1000, "requests/s"))
		passed := func(tries int) (n int) {
			for range tries {
				w := httptest.NewRecorder()
				r.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { n++ })).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
			}
			return n
		}
		if n := passed(500); n != 100 {
			t.Errorf("%d at once", n)
		}
		time.Sleep(500 * time.Millisecond)
		if n := passed(500); n != 50 {
			t.Errorf("%d after half a second", n)
		}
		p.Set(t.Context(), "rate_limit", "1000")
		time.Sleep(time.Hour)
		if n := passed(2000); n != 1000 {
			t.Errorf("%d after the change", n)
		}
	})
}
