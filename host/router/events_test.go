package router

import (
	"bufio"
	"fmt"
	"net/http"
	"testing"

	"github.com/go-shipper/shipper/release"
)

// TestServerSentEvents wants each event to arrive before the next one is made,
// however small it is, while the response stays open; and an instance to learn
// that its client has gone.
func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	next, gone := make(chan int), make(chan struct{})
	r := behind(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.Header().Set("Content-Type", "text/event-stream")
		flush := http.NewResponseController(w).Flush
		if err := flush(); err != nil {
			t.Error(err)
		}
		for {
			select {
			case n := <-next:
				fmt.Fprintf(w, "id: %d\ndata: x\n\n", n)
				if err := flush(); err != nil {
					t.Error(err)
				}
			case <-r.Context().Done():
				return
			}
		}
	})
	req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, r.url("/events"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := (&http.Transport{}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}
	lines := bufio.NewScanner(res.Body)
	for n := range 100 {
		next <- n
		for _, want := range []string{fmt.Sprintf("id: %d", n), "data: x", ""} {
			if !lines.Scan() || lines.Text() != want {
				t.Fatalf("%q arrives, %v, want %q", lines.Text(), lines.Err(), want)
			}
		}
	}
	if c := r.counters(release.Blue); c.Inflight != 1 {
		t.Errorf("%d in flight while events come", c.Inflight)
	}
	res.Body.Close()
	select {
	case <-gone:
	case <-r.ctx.Done():
		t.Fatal("the instance is not told that the client has gone")
	}
	r.eventually("nothing is in flight", func() bool { return r.counters(release.Blue).Inflight == 0 })
}
