package router

import (
	"io"
	"log"
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
		in := newInstance(release.Blue, "127.0.0.1:1", &counters{}, e)
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
