package load

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/ports"
)

// service answers as version in slot, with the status that it is told.
func service(t *testing.T, version, slot string, status func(n int64) int) string {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Orders-Version", version)
		w.Header().Set("X-Slot", slot)
		w.WriteHeader(status(n.Add(1)))
		io.WriteString(w, "answer")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func always(status int) func(int64) int { return func(int64) int { return status } }

// enough runs the load until cond holds, stops it, and returns the report.
func enough(t *testing.T, o Options, cond func(Report) bool) *Report {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	o.Rate = 2000
	g := Start(ctx, o)
	if err := g.Until(ctx, cond); err != nil {
		t.Fatal(err)
	}
	stop()
	return g.Wait()
}

func TestCountsByVersionAndSlot(t *testing.T) {
	good := service(t, "1.0.0", "blue", always(200))
	bad := service(t, "2.0.0", "green", func(n int64) int {
		if n%2 == 0 {
			return 503
		}
		return 404
	})
	r := enough(t, Options{URLs: []string{good, bad}, Posts: 0.5, Body: "{}"}, func(r Report) bool { return r.Sent() >= 200 })
	one, two := r.Of("1.0.0"), r.Of("2.0.0")
	if one.Failed != 0 || one.OK < 90 || two.OK < 40 || two.Failed < 40 {
		t.Errorf("1.0.0 %+v, 2.0.0 %+v", one, two)
	}
	if r.Lost().Failed != 0 || r.Failed().Failed != two.Failed {
		t.Errorf("lost %+v", r.Lost())
	}
	if two.FirstFailed.Before(r.Began) || two.LastFailed.After(r.Ended) || two.LastFailed.Before(two.FirstFailed) {
		t.Errorf("times of failures %v to %v in %v to %v", two.FirstFailed, two.LastFailed, r.Began, r.Ended)
	}
	if two.Example == "" || !strings.Contains(two.Example, "503") {
		t.Errorf("example %q", two.Example)
	}
	if s := r.String(); !strings.Contains(s, "2.0.0") || !strings.Contains(s, "green") || !strings.Contains(s, "refused 0") {
		t.Errorf("table:\n%s", s)
	}
	if got := r.Sum(func(k Key) bool { return k.URL == good }); got.OK != one.OK {
		t.Errorf("by address %d, by version %d", got.OK, one.OK)
	}
}

// raw answers each connection by hand.
func raw(t *testing.T, answer func(net.Conn)) string {
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
				http.ReadRequest(bufio.NewReader(c))
				answer(c)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestTellsLossesApart(t *testing.T) {
	closed := ports.Address(t)
	tests := map[string]struct {
		url     string
		timeout time.Duration
		want    Loss
	}{
		"nobody listens":    {"http://" + closed, 0, Refused},
		"closed unanswered": {raw(t, func(net.Conn) {}), 0, Cut},
		"reset":             {raw(t, func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }), 0, Cut},
		"half a body": {raw(t, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		}), 0, Cut},
		"silent": {raw(t, func(c net.Conn) { io.Copy(io.Discard, c) }), 20 * time.Millisecond, Timeout},
		"no HTTP": {raw(t, func(c net.Conn) {
			io.WriteString(c, "SSH-2.0-x\r\n\r\n")
			io.Copy(io.Discard, c)
		}), 0, Other},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, short := range []int{0, 2} {
				o := Options{URLs: []string{tt.url}, KeepAlive: 2 - short, Short: short, Timeout: tt.timeout}
				r := enough(t, o, func(r Report) bool { return r.Sent() >= 5 })
				if r.Losses[tt.want].Failed != r.Sent() || r.Failed().Example == "" {
					t.Errorf("short %d: %+v", short, r.Losses)
				}
			}
		})
	}
}

func TestStopAnswersWhatIsInFlight(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if once.CompareAndSwap(false, true) {
			close(entered)
		}
		<-leave
	}))
	defer s.Close()
	ctx, stop := context.WithCancel(t.Context())
	g := Start(ctx, Options{URLs: []string{s.URL}, KeepAlive: 3, Rate: 1000})
	<-entered
	stop()
	close(leave)
	r := g.Wait()
	if r.Sent() == 0 || r.Failed().Failed != 0 {
		t.Errorf("%+v", r)
	}
	if err := g.Until(t.Context(), func(Report) bool { return false }); !errors.Is(err, errEnded) {
		t.Errorf("waiting for one that ended: %v", err)
	}
}

func TestUntilEndsWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	g := Start(ctx, Options{URLs: []string{service(t, "1", "blue", always(200))}})
	gone := errors.New("gone")
	waiting, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if err := g.Until(waiting, func(Report) bool { return false }); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
	stop()
	g.Wait()
}

// Slow answers must not slow the requests down, up to a request per client;
// and no client has two at once.
func TestRateDoesNotDependOnAnswers(t *testing.T) {
	leave := make(chan struct{})
	var inside atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		inside.Add(1)
		<-leave
	}))
	defer s.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	g := Start(ctx, Options{URLs: []string{s.URL}, KeepAlive: 5, Short: 3, Rate: 1000})
	if err := g.Until(ctx, func(r Report) bool { return r.Late > 0 }); err != nil {
		t.Fatal(err)
	}
	stop()
	close(leave)
	if r := g.Wait(); inside.Load() != 8 || r.Sent() != 8 {
		t.Errorf("%d at once, %d sent", inside.Load(), r.Sent())
	}
}
