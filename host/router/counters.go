package router

import (
	"reflect"
	"sync/atomic"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// outcome is how a request at an instance ended; each request has exactly one.
type outcome int

const (
	answered      outcome = iota
	failedConnect         // could not be connected
	failedTimeout         // no headers in time, or cut at the end of a drain
	failedAborted         // the connection or the body was cut by the instance
	canceled              // by the client
)

// counters of one slot: monotonic, without a lock, never reset.
type counters struct {
	requests, status5xx, status4xx      atomic.Int64
	connect, timeout, aborted, canceled atomic.Int64
	inflight, bytes                     atomic.Int64
	fallback                            atomic.Int64 // answered by stable after connect failed
	latency                             [release.LatencyBuckets]atomic.Int64
}

// add counts a request that is over. Requests come first here and last in
// snapshot, so that no reader ever sees more errors than requests.
func (c *counters) add(o outcome, status int, bytes int64, took time.Duration) {
	c.requests.Add(1)
	c.bytes.Add(bytes)
	switch o {
	case answered:
		c.status(status)
	case failedConnect:
		c.connect.Add(1)
	case failedTimeout:
		c.timeout.Add(1)
	case failedAborted:
		c.aborted.Add(1)
	case canceled:
		c.canceled.Add(1)
	}
	// A refused connect or a client's impatience says nothing about speed.
	if o != failedConnect && o != canceled {
		c.latency[release.LatencyBucket(took)].Add(1)
	}
}

func (c *counters) status(status int) {
	switch {
	case status >= 500:
		c.status5xx.Add(1)
	case status >= 400:
		c.status4xx.Add(1)
	}
}

// snapshot leaves out the empty buckets at the end.
func (c *counters) snapshot() rpc.SlotCounters {
	s := rpc.SlotCounters{
		Status5xx: c.status5xx.Load(), Status4xx: c.status4xx.Load(),
		Connect: c.connect.Load(), Timeout: c.timeout.Load(),
		Aborted: c.aborted.Load(), Canceled: c.canceled.Load(),
		Inflight: c.inflight.Load(), Bytes: c.bytes.Load(), Fallback: c.fallback.Load(),
	}
	last := -1
	latency := make([]int64, len(c.latency))
	for i := range c.latency {
		if latency[i] = c.latency[i].Load(); latency[i] != 0 {
			last = i
		}
	}
	s.Latency = latency[:last+1]
	s.Requests = c.requests.Load()
	return s
}

// totals are what the slots answered since epoch, here and in the routers before.
func (s *service) totals() slotSums {
	sums, inherited := slotSums{}, *s.inherited.Load()
	for slot, c := range s.counters {
		sums[slot] = plus(c.snapshot(), inherited[slot])
	}
	return sums
}

// plus adds up every number, so that none is forgotten that is added one day.
func plus(a, b rpc.SlotCounters) rpc.SlotCounters {
	sum, more := reflect.ValueOf(&a).Elem(), reflect.ValueOf(b)
	for i := range sum.NumField() {
		switch to, from := sum.Field(i), more.Field(i); to.Kind() {
		case reflect.Int64:
			to.SetInt(to.Int() + from.Int())
		case reflect.Slice:
			to.Set(reflect.ValueOf(addEach(to.Interface().([]int64), from.Interface().([]int64))))
		}
	}
	return a
}

func addEach(a, b []int64) []int64 {
	sum := make([]int64, max(len(a), len(b)))
	copy(sum, a)
	for i, n := range b {
		sum[i] += n
	}
	return sum
}
