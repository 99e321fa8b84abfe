package router

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// A hand-over, between the elder router, which serves, and its successor:
//
//	elder      offer: its sockets and all it knows; changes are refused from here on
//	successor  take: everything is prepared
//	elder      accepts no more, frees the baton; final: what it knows now
//	successor  takes the baton, accepts; serving
//
// The baton is a file that one process can hold, and whoever holds it accepts.
// So there is never more than one, whatever dies when; and an elder whose
// successor failed takes the baton back. From serving on the successor tells
// the elder of every change, as long as requests are finished there, and the
// elder tells what they came to.
const (
	handOverProtocol = 1
	maxMessage       = 16 << 20 // bytes
	linkTimeout      = 10 * time.Second
)

var errNoSense = errors.New("hand-over: a message that makes no sense here")

// message is one line of the link; one of its fields is set.
type message struct {
	Refused string              `json:"refused,omitempty"` // why there is no hand-over
	Later   bool                `json:"later,omitempty"`   // it may be asked for again
	Offer   *offer              `json:"offer,omitempty"`
	Take    bool                `json:"take,omitempty"`
	Final   *estate             `json:"final,omitempty"`
	Serving bool                `json:"serving,omitempty"`
	Follow  *carried            `json:"follow,omitempty"` // a route as it is from now on
	Forget  string              `json:"forget,omitempty"` // a service that is no more
	Drain   *slotOf             `json:"drain,omitempty"`
	Drained *slotOf             `json:"drained,omitempty"`
	Counts  map[string]slotSums `json:"counts,omitempty"` // by service
}

type slotSums = map[release.Slot]rpc.SlotCounters

type slotOf struct {
	Service string       `json:"service"`
	Slot    release.Slot `json:"slot"`
}

// offer is all that a successor needs to prepare itself.
type offer struct {
	Protocol int      `json:"protocol"`
	Sockets  []parcel `json:"sockets"`
	Estate   estate   `json:"estate"`
}

// parcel is a listening socket on its way.
type parcel struct {
	Listen string `json:"listen"`
	Data   []byte `json:"data"`
}

// estate is what outlives a router that is followed by another.
type estate struct {
	Generation uint64    `json:"generation"`
	Services   []carried `json:"services"`
}

// carried is a service on its way. Times are told as what is left of them:
// clocks are each process's own.
type carried struct {
	Route      Route                      `json:"route"` // with the weight as it was given
	Generation uint64                     `json:"generation"`
	Remaining  time.Duration              `json:"remaining"` // of the lease; not above 0: it ran out
	Epoch      string                     `json:"epoch"`
	Counters   slotSums                   `json:"counters"`
	Draining   []release.Slot             `json:"draining,omitempty"`
	Ready      bool                       `json:"ready"`
	Slots      map[release.Slot]condition `json:"slots"`
}

// condition is how an instance stands. All times but Age are ages.
type condition struct {
	Age     time.Duration `json:"age"`
	Warm    time.Duration `json:"warm"`           // when it began to warm up
	Since   time.Duration `json:"since"`          // when it came up last
	Ejected time.Duration `json:"ejected"`        // until when
	Eject   time.Duration `json:"eject"`          // how long the latest ejection was
	Down    string        `json:"down,omitempty"` // why checks hold it for dead
}

// decodeMessage trusts nothing in a line.
func decodeMessage(line []byte) (message, error) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return message{}, fmt.Errorf("hand-over message: %w", err)
	}
	if o := m.Offer; o != nil {
		if o.Protocol != handOverProtocol {
			return message{}, fmt.Errorf("hand-over protocol %d: this router speaks %d", o.Protocol, handOverProtocol)
		}
		if err := o.Estate.check(); err != nil {
			return message{}, err
		}
	}
	if m.Final != nil {
		if err := m.Final.check(); err != nil {
			return message{}, err
		}
	}
	if m.Follow != nil {
		if err := m.Follow.Route.Validate(); err != nil {
			return message{}, err
		}
	}
	return m, nil
}

func (e estate) check() error {
	routes := make([]Route, len(e.Services))
	for i, c := range e.Services {
		routes[i] = c.Route
	}
	return checkRestored(routes)
}

// link is the connection between two routers.
type link struct {
	conn net.Conn
	scan *bufio.Scanner
	mu   sync.Mutex // of writers
}

func newLink(conn net.Conn, r io.Reader) *link {
	l := &link{conn: conn, scan: bufio.NewScanner(r)}
	l.scan.Buffer(nil, maxMessage)
	return l
}

func (l *link) send(m message) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.conn.SetWriteDeadline(time.Now().Add(linkTimeout)); err != nil {
		return err
	}
	_, err = l.conn.Write(append(data, '\n'))
	return err
}

// receive waits for the next message, for ever if within is 0.
func (l *link) receive(within time.Duration) (message, error) {
	deadline := time.Time{}
	if within > 0 {
		deadline = time.Now().Add(within)
	}
	if err := l.conn.SetReadDeadline(deadline); err != nil {
		return message{}, err
	}
	if l.scan.Scan() {
		return decodeMessage(l.scan.Bytes())
	}
	if err := l.scan.Err(); err != nil {
		return message{}, err
	}
	return message{}, io.EOF
}

func (l *link) close() { l.conn.Close() }

// carry packs a service. The caller holds mu.
func (s *service) carry() carried {
	t := s.table.Load()
	c := carried{
		Route: t.route, Generation: t.generation, Epoch: s.epoch,
		Remaining: t.remaining(s.env.Now()), Counters: s.totals(), Ready: s.isReady(),
		Slots: map[release.Slot]condition{},
	}
	c.Route.Hold = max(0, min(c.Route.Hold, t.holdUntil.Sub(s.env.Now())))
	for slot, in := range t.instances {
		if in.draining.Load() {
			c.Draining = append(c.Draining, slot)
		}
		c.Slots[slot] = in.condition(s.env.Now())
	}
	return c
}

// unpack makes the service what c tells. since is when the lease was asked
// for: what is left of it is counted from there, so that it never grows.
func (s *service) unpack(c carried, since time.Time) {
	if c.Route.Hold > 0 { // what is left of it counts from since, too
		c.Route.Hold = max(1, c.Route.Hold-s.env.Now().Sub(since))
	}
	s.conditions = c.Slots
	defer func() { s.conditions = nil }()
	s.applyUntil(c.Route.withDefaults(), c.Generation, since.Add(c.Remaining))
	t := s.table.Load()
	for _, slot := range c.Draining {
		if in := t.instances[slot]; in != nil && in != t.stable && in != t.canary {
			in.drain(t.route.DrainTimeout)
		}
	}
}

func (in *instance) condition(now time.Time) condition {
	c := condition{
		Age: in.age(now), Warm: time.Duration(in.warm.Load()), Since: time.Duration(in.health.since.Load()),
		Ejected: time.Duration(in.outlier.until.Load()),
	}
	if in.health.down.Load() {
		in.health.mu.Lock()
		c.Down = in.health.why
		in.health.mu.Unlock()
	}
	in.outlier.mu.Lock()
	defer in.outlier.mu.Unlock()
	c.Eject = in.outlier.last
	return c
}

// assume lets a fresh instance stand as another router saw it: it neither
// warms up anew nor comes back before its time.
func (in *instance) assume(c condition) {
	in.born = in.born.Add(-c.Age)
	in.warm.Store(int64(c.Warm))
	in.health.since.Store(int64(c.Since))
	in.outlier.until.Store(int64(c.Ejected))
	in.outlier.last = c.Eject
	in.health.inherited = c.Down
}
