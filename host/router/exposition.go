package router

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// exposition is Prometheus' text format, version 0.0.4.
type exposition struct{ text []byte }

// family begins a metric; its samples follow.
func (e *exposition) family(name, kind, help string) {
	e.text = append(e.text, "# HELP "+name+" "+helpEscapes.Replace(help)+"\n# TYPE "+name+" "+kind+"\n"...)
}

// sample adds one value; labels are names and values in turn.
func (e *exposition) sample(name string, value float64, labels ...string) {
	e.text = append(e.text, name...)
	for i := 0; i+1 < len(labels); i += 2 {
		sign := byte(',')
		if i == 0 {
			sign = '{'
		}
		e.text = append(append(e.text, sign), labels[i]+`="`+labelEscapes.Replace(labels[i+1])+`"`...)
	}
	if len(labels) > 0 {
		e.text = append(e.text, '}')
	}
	e.text = append(append(append(e.text, ' '), number(value)...), '\n')
}

var (
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func number(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// fromOctave is the first bound of the histogram: 256 µs, and every doubling
// up to 134 s. Ours are finer; a scrape need not be as large.
const (
	fromOctave = 32 + 3*16 - 1
	octave     = 16
)

// histogram adds the samples of one, cumulated.
func (e *exposition) histogram(name string, buckets []int64, sum time.Duration, labels ...string) {
	total, next := int64(0), 0
	bucket := func(le float64) {
		e.sample(name+"_bucket", float64(total), append(slices.Clone(labels), "le", number(le))...)
	}
	for i := fromOctave; i < release.LatencyBuckets-1; i += octave {
		for ; next <= i && next < len(buckets); next++ {
			total += buckets[next]
		}
		bucket(release.LatencyBound(i).Seconds())
	}
	for ; next < len(buckets); next++ { // the last one has all that is slower
		total += buckets[next]
	}
	bucket(math.Inf(1))
	e.sample(name+"_sum", sum.Seconds(), labels...)
	e.sample(name+"_count", float64(total), labels...)
}

// measured is a service at the time of a scrape.
type measured struct {
	View
	slots   slotSums
	dropped int64
}

// expose writes down services by metric, as the format wants it.
func expose(all []measured) []byte {
	e := &exposition{}
	e.requests(all)
	e.traffic(all)
	e.services(all)
	return e.text
}

// each calls do for every slot of every service, in order.
func each(all []measured, do func(m measured, slot release.Slot, c rpc.SlotCounters, labels ...string)) {
	for _, m := range all {
		for _, slot := range release.Slots() {
			do(m, slot, m.slots[slot], "service", m.Service, "slot", string(slot))
		}
	}
}

func (e *exposition) requests(all []measured) {
	const requests, grpc, seconds = "shipper_router_requests_total", "shipper_router_grpc_answers_total", "shipper_router_request_duration_seconds"
	e.family(requests, "counter", "Requests that ended, by outcome: each has exactly one.")
	each(all, func(_ measured, _ release.Slot, c rpc.SlotCounters, labels ...string) {
		for _, o := range outcomes(c) {
			e.sample(requests, float64(o.n), append(labels, "outcome", o.name)...)
		}
	})
	e.family(grpc, "counter", "Answers with HTTP status 200 by their gRPC status.")
	each(all, func(_ measured, _ release.Slot, c rpc.SlotCounters, labels ...string) {
		for code, n := range c.GRPC {
			e.sample(grpc, float64(n), append(labels, "code", strconv.Itoa(code))...)
		}
	})
	e.family(seconds, "histogram", "Time until the last byte of the answer, without requests that were not connected or that the client left.")
	each(all, func(_ measured, _ release.Slot, c rpc.SlotCounters, labels ...string) {
		e.histogram(seconds, c.Latency, time.Duration(c.Took), labels...)
	})
}

type counted struct {
	name string
	n    int64
}

// outcomes split the requests; what is left of them are answers below 400.
func outcomes(c rpc.SlotCounters) []counted {
	failed := []counted{
		{"client_error", c.Status4xx}, {"server_error", c.Status5xx}, {"connect_failure", c.Connect},
		{"timeout", c.Timeout}, {"aborted", c.Aborted}, {"canceled", c.Canceled},
	}
	good := c.Requests
	for _, f := range failed {
		good -= f.n
	}
	return append([]counted{{"success", max(0, good)}}, failed...)
}

func (e *exposition) traffic(all []measured) {
	for _, f := range []struct {
		name, kind, help string
		of               func(measured, release.Slot, rpc.SlotCounters) float64
	}{
		{"shipper_router_response_bytes_total", "counter", "Bytes of answer bodies.",
			func(_ measured, _ release.Slot, c rpc.SlotCounters) float64 { return float64(c.Bytes) }},
		{"shipper_router_requests_in_flight", "gauge", "Requests and tunnels under way.",
			func(_ measured, _ release.Slot, c rpc.SlotCounters) float64 { return float64(c.Inflight) }},
		{"shipper_router_fallbacks_total", "counter", "Requests that stable answered because the canary did not.",
			func(_ measured, _ release.Slot, c rpc.SlotCounters) float64 { return float64(c.Fallback) }},
		{"shipper_router_diverted_total", "counter", "Requests drawn for the slot that stable answered while it was out of use.",
			func(_ measured, _ release.Slot, c rpc.SlotCounters) float64 { return float64(c.Diverted) }},
		{"shipper_router_clients_total", "counter", "Clients, each counted once in ten seconds.",
			func(_ measured, _ release.Slot, c rpc.SlotCounters) float64 { return float64(c.Clients) }},
		{"shipper_router_client_errors_total", "counter", "Clients that met an error, each counted once in ten seconds.",
			func(_ measured, _ release.Slot, c rpc.SlotCounters) float64 { return float64(c.ClientErrors) }},
		{"shipper_router_weight_ratio", "gauge", "Share of the traffic that is drawn for the slot now: by weight and lease, warming up and health.",
			func(m measured, slot release.Slot, _ rpc.SlotCounters) float64 { return m.share(slot) }},
		{"shipper_router_slot_healthy", "gauge", "0: checks or answers say that the slot is out of use.",
			func(m measured, slot release.Slot, _ rpc.SlotCounters) float64 { return zeroOrOne(m.Out[slot] == "") }},
	} {
		e.family(f.name, f.kind, f.help)
		each(all, func(m measured, slot release.Slot, c rpc.SlotCounters, labels ...string) {
			e.sample(f.name, f.of(m, slot, c), labels...)
		})
	}
}

// share is what a slot gets of the draws.
func (m measured) share(slot release.Slot) float64 {
	canary := float64(m.Effective) / float64(release.Full)
	switch slot {
	case m.Canary:
		return canary
	case m.Stable:
		return 1 - canary
	default:
		return 0
	}
}

func (e *exposition) services(all []measured) {
	for _, f := range []struct {
		name, kind, help string
		of               func(measured) float64
	}{
		{"shipper_router_lease_seconds", "gauge", "Until the canary's weight ends by itself; 0: it has none.",
			func(m measured) float64 { return m.Remaining.Seconds() }},
		{"shipper_router_up", "gauge", "1: the service's public address is served.",
			func(m measured) float64 { return zeroOrOne(m.Problem == "") }},
		{"shipper_router_access_log_dropped_total", "counter", "Lines of the access log that did not get to the disk in time.",
			func(m measured) float64 { return float64(m.dropped) }},
	} {
		e.family(f.name, f.kind, f.help)
		for _, m := range all {
			e.sample(f.name, f.of(m), "service", m.Service)
		}
	}
}

func zeroOrOne(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
