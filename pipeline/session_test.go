package pipeline

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/transport"
)

// A wire that falls silent when the lock is asked for is given up, and the
// lock asked for over another one. A host that is busy is waited for.
func TestLockOverASilentWire(t *testing.T) {
	const lease = time.Minute
	for _, c := range []struct {
		name   string
		busy   time.Duration // until the host gives the session
		silent int           // so many connections carry no answer
		dials  int
		within time.Duration
		fails  bool
	}{
		{name: "busy", busy: 5 * time.Minute, dials: 1, within: 5 * time.Minute},
		{name: "silent once", silent: 1, dials: 2, within: lease},
		{name: "silent", silent: 10, dials: 2, within: 2 * lease, fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wires{t: t, busy: c.busy, silent: c.silent}
				h := w.host(lease)
				began := time.Now()
				err := h.acquire(t.Context(), "r1", "deploy")
				if (err != nil) != c.fails || w.dials != c.dials || time.Since(began) > c.within {
					t.Errorf("%v after %s and %d connections", err, time.Since(began), w.dials)
				}
				h.drop()
			})
		})
	}
}

// A host frees the session when it parks. The renewal that it refuses then may
// be answered before the park is, and does not mean that the host is lost.
func TestRenewalOfAParkedHost(t *testing.T) {
	for _, parks := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := (&wires{t: t}).host(30 * time.Second)
			if err := h.acquire(t.Context(), "r1", "deploy"); err != nil {
				t.Fatal(err)
			}
			if parks {
				h.park()
			}
			l := &lease{p: h.p, run: "r1", ttl: 30 * time.Second, events: make(chan rollout.Event, 1)}
			if err := l.keep(t.Context(), h); (err == nil) != parks {
				t.Errorf("parks %v: %v", parks, err)
			}
			h.drop()
		})
	}
}

// wires are connections to a guard, the first of which fall silent.
type wires struct {
	t      *testing.T
	busy   time.Duration
	silent int
	dials  int
}

func (w *wires) host(lease time.Duration) *host {
	return newHost(&Pipeline{
		Target: config.Target{Service: config.Service{Name: "orders"}, Rollback: config.Rollback{Lease: lease}},
		Now:    time.Now, Dial: w.dial,
		Bridge: func(context.Context, transport.Conn, config.Host, bool) (string, error) { return "serve", nil },
	}, config.Host{Name: "web1"})
}

func (w *wires) dial(context.Context, config.Host) (transport.Conn, error) {
	w.dials++
	return w, nil
}

func (w *wires) Run(context.Context, string, io.Reader) (transport.Result, error) {
	return transport.Result{}, nil
}

func (w *wires) Close() error { return nil }

func (w *wires) Pipe(context.Context, string) (transport.Pipe, error) {
	near, far := net.Pipe()
	silent := w.dials <= w.silent
	h := &rpc.Handlers{Hello: func(context.Context, rpc.Hello) (rpc.HelloReply, error) {
		return rpc.HelloReply{Protocol: rpc.Protocol}, nil
	}}
	wait := func(ctx context.Context, d time.Duration) {
		if silent {
			d = time.Hour
		}
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	rpc.Handle(h, rpc.MethodList, func(ctx context.Context, _ struct{}) ([]string, error) {
		wait(ctx, 0)
		return nil, context.Cause(ctx)
	})
	rpc.Handle(h, rpc.MethodAcquire, func(ctx context.Context, p rpc.Acquire) (rpc.Session, error) {
		wait(ctx, w.busy)
		return rpc.Session{Run: p.Run, Fence: 1}, context.Cause(ctx)
	})
	rpc.Handle(h, rpc.MethodRenew, func(context.Context, rpc.Fenced) (rpc.Renewed, error) {
		return rpc.Renewed{}, rpc.Errorf(rpc.CodeFenced, "", "run r1 holds no session")
	})
	ctx := w.t.Context()
	go rpc.Serve(ctx, far, h)
	return pipe{near}, nil
}
