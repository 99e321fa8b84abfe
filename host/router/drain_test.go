package router

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

// TestNothingIsClaimedAfterADrain lets requests race with a drain: once it
// says that nothing is in flight, nothing may come in any more.
func TestNothingIsClaimedAfterADrain(t *testing.T) {
	t.Parallel()
	e := &env{Options: Options{Now: time.Now}, errlog: log.New(io.Discard, "", 0), buffers: newBufferPool()}
	for range 500 {
		in := newInstance(release.Blue, "127.0.0.1:1", false, &counters{}, e)
		var idle, late atomic.Bool
		var claims sync.WaitGroup
		for range 4 {
			claims.Go(func() {
				for in.claim() {
					if idle.Load() {
						late.Store(true)
					}
					in.release()
				}
			})
		}
		drained := in.drain(time.Minute)
		<-in.idle
		idle.Store(true)
		<-drained
		claims.Wait()
		if late.Load() {
			t.Fatal("a request was claimed after the drain")
		}
		if n := in.counters.inflight.Load(); n != 0 {
			t.Fatalf("%d in flight after the drain", n)
		}
	}
}

func TestASlotThatMovesLeavesNoConnectionBehind(t *testing.T) {
	t.Parallel()
	var open atomic.Int64
	old := httptest.NewUnstartedServer(say("old"))
	old.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	old.Start()
	t.Cleanup(old.Close)
	r := start(t, Options{})
	r.put(r.route(addrOf(old), "", 0))
	if _, text := r.get("/"); text != "old" || open.Load() != 1 {
		t.Fatalf("%q answers, %d connections", text, open.Load())
	}
	r.put(r.route(backend(t, "new"), "", 0))
	if _, text := r.get("/"); text != "new" {
		t.Errorf("%q answers", text)
	}
	r.eventually("the old connection is closed", func() bool { return open.Load() == 0 })
}
