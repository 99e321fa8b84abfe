package host

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/release"
)

// Router is what the guard asks of the router; router.Client is one.
type Router interface {
	List(ctx context.Context) ([]router.View, error)
	Get(ctx context.Context, service string) (router.View, error)
	Put(ctx context.Context, route router.Route, ifMatch uint64) (router.View, error)
	Delete(ctx context.Context, service string, ifMatch uint64) error
	Drain(ctx context.Context, service string, slot release.Slot) (router.View, error)
	Counters(ctx context.Context, service string) (string, map[release.Slot]rpc.SlotCounters, error)
	Ready(ctx context.Context) error
	Self(ctx context.Context) (router.Self, error)
}

// Clock is the time as the guard sees it. Leases are timed by differences of
// Now, which must not jump when the wall clock does (time.Now does not).
type Clock interface {
	Now() time.Time
	// At returns a channel that gets the time once t has come.
	At(t time.Time) <-chan time.Time
}

// Options of a guard. Layout, SCM, Router and Executable are needed.
type Options struct {
	Layout Layout
	SCM    scm.Manager
	Router Router
	// Executable is the shipper-host that the router and the wrappers run:
	// absolute, below Layout.Programs on a real host.
	Executable string
	// Args follow the verb in the image path of the router and the wrappers,
	// so that they find the same Layout; empty for the default one.
	Args    []string
	Version string
	Clock   Clock                  // default: the system's
	Machine func() (string, error) // default: MachineID
	Boot    func() (string, error) // default: BootID
	// Sources lists files that event sources name; default: scm.EventSources.
	Sources func() ([]string, error)
	// Netsh runs the program that changes the firewall; default: the system's.
	Netsh func(ctx context.Context, args []string) error
	// Listen and Dial are the network, of the bridge and of smoke checks;
	// default: the system's.
	Listen func(ctx context.Context, addr string) (net.Listener, error)
	Dial   Dial
	// Write stands between the guard and each write of a state file, which it
	// may refuse before or after; default: it just writes.
	Write func(path string, write func() error) error
	Ready func() rpc.Readiness // of the host for a change; default: always
	Event func(Event)          // to the host's event log; nil: it has none
	Log   *slog.Logger         // default: slog.Default()
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = systemClock{}
	}
	if o.Machine == nil {
		o.Machine = MachineID
	}
	if o.Boot == nil {
		o.Boot = BootID
	}
	if o.Sources == nil {
		o.Sources = scm.EventSources
	}
	if o.Netsh == nil {
		o.Netsh = runNetsh
	}
	if o.Ready == nil {
		o.Ready = func() rpc.Readiness { return rpc.Readiness{} }
	}
	if o.Listen == nil {
		o.Listen = listenTCP
	}
	if o.Dial == nil {
		o.Dial = dialTCP
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// Dial connects to a TCP address of this host.
type Dial func(ctx context.Context, addr string) (net.Conn, error)

func listenTCP(ctx context.Context, addr string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
}

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

type systemClock struct{}

func (systemClock) Now() time.Time                  { return time.Now() }
func (systemClock) At(t time.Time) <-chan time.Time { return time.After(time.Until(t)) }
