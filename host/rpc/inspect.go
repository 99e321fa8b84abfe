package rpc

import (
	"context"

	"github.com/go-shipper/shipper/release"
)

// Methods that look closer than a status does. Guards of before do not know them.
const (
	MethodInspect  = "service.inspect" // Inspect → Inspected
	MethodRehearse = "slot.rehearse"   // Rehearse → Rehearsed
)

// Inspect compares a service's record with what is really so.
type Inspect struct {
	Service  string `json:"service"`
	Previous bool   `json:"previous,omitempty"` // verify what a rollback would take as well
}

// Inspected tells what somebody else has changed.
type Inspected struct {
	Drift    []Drift   `json:"drift,omitempty"`
	Busy     bool      `json:"busy,omitempty"` // it is being changed right now: nothing can be said
	Previous *Previous `json:"previous,omitempty"`
}

// Drift is one thing that is not as it was recorded.
type Drift struct {
	Slot release.Slot `json:"slot,omitempty"` // empty: of the service as a whole
	What string       `json:"what"`           // service, state, image path, start type, account, release, file, route, firewall …
	Want string       `json:"want"`
	Have string       `json:"have"`
}

// Previous is what a rollback of this host takes; Problem says why it cannot.
type Previous struct {
	Retained
	Problem string `json:"problem,omitempty"`
}

// Rehearse asks for a start of what a rollback would take, without traffic.
type Rehearse struct {
	Fenced
	Checks []Check `json:"checks,omitempty"` // Fenced and Deadline of each may be empty
}

// Rehearsed tells how it went; an error is why it did not start.
type Rehearsed struct {
	Slot   release.Slot `json:"slot"`
	Warm   bool         `json:"warm,omitempty"` // it runs anyway, and still does
	Millis int64        `json:"millis"`         // until it listened
	Checks []CheckReply `json:"checks,omitempty"`
}

// Inspect compares the record with what is really so.
func (c *Client) Inspect(ctx context.Context, p Inspect) (Inspected, error) {
	return call[Inspected](ctx, c, MethodInspect, p)
}

// Rehearse starts what a rollback would take, checks it and stops it again.
func (c *Client) Rehearse(ctx context.Context, p Rehearse) (Rehearsed, error) {
	return call[Rehearsed](ctx, c, MethodRehearse, p)
}
