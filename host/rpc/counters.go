package rpc

// SlotCounters counts the answers of one slot.
type SlotCounters struct {
	Requests  int64 `json:"requests"`  // all that reached the slot
	Status5xx int64 `json:"status5xx"` // answered by the instance
	Status4xx int64 `json:"status4xx"`
	Connect   int64 `json:"connect"` // could not be connected
	Timeout   int64 `json:"timeout"`
	Aborted   int64 `json:"aborted"`  // body cut by the instance
	Canceled  int64 `json:"canceled"` // by the client; no error
	Inflight  int64 `json:"inflight"`
	Bytes     int64 `json:"bytes"`
	Fallback  int64 `json:"fallback,omitempty"` // of Connect and Aborted, answered by stable instead
	Diverted  int64 `json:"diverted,omitempty"` // drawn while the slot was out of use, answered by stable; not in Requests
	// GRPC counts answers with HTTP status 200 by their gRPC status, 0 to 16.
	GRPC []int64 `json:"grpc,omitempty"`
	// Latency counts requests by duration; bucket i ends at Bound(i).
	Latency []int64 `json:"latency"`
	Took    int64   `json:"took,omitempty"` // nanoseconds, all of Latency together
	Units   Units   `json:"units,omitzero"`
	// Clients and ClientErrors count a client once in ten seconds, whatever it
	// asked: they tell twenty errors of one client from those of twenty.
	Clients      int64 `json:"clients,omitempty"`
	ClientErrors int64 `json:"clientErrors,omitempty"`
	// Out says why the slot gets no requests of its weight now; empty: it does.
	Out string `json:"out,omitempty"`
}

// Units are what was drawn for a slot independently of everything before, and
// so what two slots can be compared by: single requests, but where clients
// stick to their slot a client within ten seconds, which is one draw however
// often it asks. Requests that chose their slot or were moved to stable are in
// none. Numerators and denominators fit each other in both slots.
type Units struct {
	All       int64 `json:"all"`
	Errors    int64 `json:"errors"`    // with an error among them, as Errors has them
	Status4xx int64 `json:"status4xx"` // refused as the client's fault, by HTTP or gRPC
	// Share is the sum of the weights, in basis points, by which all units of
	// the service were drawn: Share/10000 of them belong to the canary.
	Share int64 `json:"share,omitempty"`
}

// Errors are the outcomes that count against a slot.
func (c SlotCounters) Errors() int64 {
	sum := c.Status5xx + c.Connect + c.Timeout + c.Aborted
	for code, n := range c.GRPC {
		if GRPCFailed(code) {
			sum += n
		}
	}
	return sum
}

// GRPCFailed reports whether a gRPC status is the server's failure: unknown,
// deadline exceeded, unimplemented, internal, unavailable, data loss.
func GRPCFailed(code int) bool {
	switch code {
	case 2, 4, 12, 13, 14, 15:
		return true
	default:
		return false
	}
}
