package router

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-shipper/shipper/release"
)

// Two controllers at once lose no change of each other: each change is made by
// who has seen the one before it, or refused. Requests go on meanwhile.
func TestTwoControllersCannotInterleave(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	first := r.route(backend(t, "blue"), backend(t, "green"), 0)
	first.Salt = "0"
	r.put(first)
	var refused atomic.Int64
	var mu sync.Mutex
	bases := map[uint64]int{} // generations that a change was made over
	increment := func(c *Client) error {
		for {
			v, err := c.Get(r.ctx, name)
			if err != nil {
				return err
			}
			seen, err := strconv.Atoi(v.Salt)
			if err != nil {
				return err
			}
			route := v.Route
			route.Salt = strconv.Itoa(seen + 1)
			after, err := c.Put(r.ctx, route, v.Generation)
			if errors.Is(err, ErrStale) {
				refused.Add(1)
				continue
			}
			if err == nil && (after.Salt != route.Salt || after.Generation <= v.Generation) {
				t.Errorf("put %s over %d, got %s and %d", route.Salt, v.Generation, after.Salt, after.Generation)
			}
			mu.Lock()
			bases[v.Generation]++
			mu.Unlock()
			return err
		}
	}
	const each = 30
	var controllers sync.WaitGroup
	for range 2 {
		controllers.Go(func() {
			c := NewClient(r.dir)
			defer c.http.CloseIdleConnections()
			for range each {
				if err := increment(c); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	stop := make(chan struct{})
	asked := make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				asked <- n
				return
			default:
				if code, _, err := r.fetch("/", false); err != nil || code != 200 {
					t.Errorf("a request met %d, %v", code, err)
				}
			}
		}
	}()
	controllers.Wait()
	close(stop)
	if n := <-asked; n == 0 {
		t.Error("no request was sent")
	}
	if v := r.view(); v.Salt != strconv.Itoa(2*each) {
		t.Errorf("%s of %d changes are left", v.Salt, 2*each)
	}
	for base, n := range bases {
		if n != 1 {
			t.Errorf("%d changes were made over generation %d", n, base)
		}
	}
	t.Logf("%d stale changes were refused", refused.Load())
}

// What was seen before a drain, a delete or the end of a lease changes nothing
// any more.
func TestEveryChangeMakesOthersStale(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := start(t, Options{Now: c.Now})
	route := r.route(backend(t, "blue"), backend(t, "green"), 5000)
	for what, change := range map[string]func(seen View){
		"drain": func(View) {
			if _, err := r.Drain(r.ctx, name, release.Green); err != nil {
				t.Fatal(err)
			}
		},
		"expiry": func(seen View) { c.add(seen.Remaining) },
		"delete": func(seen View) {
			if err := r.Delete(r.ctx, name, seen.Generation); err != nil {
				t.Fatal(err)
			}
		},
		"delete and put": func(seen View) {
			if err := r.Delete(r.ctx, name, seen.Generation); err != nil {
				t.Fatal(err)
			}
			r.put(route)
		},
	} {
		seen := r.put(route)
		change(seen)
		if _, err := r.Put(r.ctx, route, seen.Generation); !errors.Is(err, ErrStale) {
			t.Errorf("after %s: %v, want ErrStale", what, err)
		}
		if err := r.Delete(r.ctx, name, seen.Generation); !errors.Is(err, ErrStale) && !errors.Is(err, ErrNotFound) {
			t.Errorf("delete after %s: %v", what, err)
		}
	}
}
