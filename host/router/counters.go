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

// String is how the access log and the metrics call it.
func (o outcome) String() string {
	return [...]string{"answered", "connect", "timeout", "aborted", "canceled"}[o]
}

// noGRPC stands for the gRPC status of an ending that is none.
const noGRPC = -1

// grpcUnknown is what an ending without a status, or with an unknown one, means.
const grpcUnknown = 2

// ending is how a request ended at an instance, for counters, health and log.
type ending struct {
	outcome outcome
	status  int // 0: none
	grpc    int // or noGRPC
	bytes   int64
	took    time.Duration
}

// isFailed reports an outcome that counts against the instance.
func (a ending) isFailed() bool {
	switch a.outcome {
	case failedConnect, failedTimeout, failedAborted:
		return true
	case answered:
		return a.status >= 500 || rpc.GRPCFailed(a.grpc)
	default:
		return false
	}
}

// isRefused reports an ending that blames the client.
func (a ending) isRefused() bool {
	if a.outcome != answered {
		return false
	}
	return a.status >= 400 && a.status < 500 || a.grpc > 0 && !rpc.GRPCFailed(a.grpc)
}

// counters of one slot: monotonic, without a lock, never reset.
type counters struct {
	requests, status5xx, status4xx      atomic.Int64
	connect, timeout, aborted, canceled atomic.Int64
	inflight, bytes                     atomic.Int64
	fallback                            atomic.Int64 // answered by stable instead
	diverted                            atomic.Int64 // to stable, while the slot was out of use
	clients, clientErrors               atomic.Int64
	units, unitErrors, unit4xx, share   atomic.Int64
	took                                atomic.Int64 // nanoseconds, of all latencies
	grpc                                [17]atomic.Int64
	latency                             [release.LatencyBuckets]atomic.Int64
}

// add counts a request that is over. Requests come first here and last in
// snapshot, so that no reader ever sees more errors than requests.
func (c *counters) add(a ending) {
	c.requests.Add(1)
	c.bytes.Add(a.bytes)
	switch a.outcome {
	case answered:
		c.answered(a)
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
	if a.outcome != failedConnect && a.outcome != canceled {
		c.latency[release.LatencyBucket(a.took)].Add(1)
		c.took.Add(int64(a.took))
	}
}

func (c *counters) answered(a ending) {
	switch {
	case a.status >= 500:
		c.status5xx.Add(1)
	case a.status >= 400:
		c.status4xx.Add(1)
	}
	if a.grpc >= 0 && a.grpc < len(c.grpc) {
		c.grpc[a.grpc].Add(1)
	}
}

// snapshot leaves out the empty buckets at the end.
func (c *counters) snapshot() rpc.SlotCounters {
	s := rpc.SlotCounters{
		Status5xx: c.status5xx.Load(), Status4xx: c.status4xx.Load(),
		Connect: c.connect.Load(), Timeout: c.timeout.Load(),
		Aborted: c.aborted.Load(), Canceled: c.canceled.Load(),
		Inflight: c.inflight.Load(), Bytes: c.bytes.Load(),
		Fallback: c.fallback.Load(), Diverted: c.diverted.Load(),
		ClientErrors: c.clientErrors.Load(), Took: c.took.Load(),
		GRPC: filled(c.grpc[:]), Latency: filled(c.latency[:]),
		Units: rpc.Units{Errors: c.unitErrors.Load(), Status4xx: c.unit4xx.Load()},
	}
	s.Clients, s.Units.All, s.Units.Share = c.clients.Load(), c.units.Load(), c.share.Load()
	s.Requests = c.requests.Load()
	return s
}

// filled reads counters up to the last one that is not 0.
func filled(all []atomic.Int64) []int64 {
	values, last := make([]int64, len(all)), -1
	for i := range all {
		if values[i] = all[i].Load(); values[i] != 0 {
			last = i
		}
	}
	return values[:last+1]
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
// Words are a's.
func plus(a, b rpc.SlotCounters) rpc.SlotCounters {
	addFields(reflect.ValueOf(&a).Elem(), reflect.ValueOf(b))
	return a
}

func addFields(sum, more reflect.Value) {
	for i := range sum.NumField() {
		switch to, from := sum.Field(i), more.Field(i); to.Kind() {
		case reflect.Int64:
			to.SetInt(to.Int() + from.Int())
		case reflect.Slice:
			to.Set(reflect.ValueOf(addEach(to.Interface().([]int64), from.Interface().([]int64))))
		case reflect.Struct:
			addFields(to, from)
		}
	}
}

func addEach(a, b []int64) []int64 {
	sum := make([]int64, max(len(a), len(b)))
	copy(sum, a)
	for i, n := range b {
		sum[i] += n
	}
	return sum
}
