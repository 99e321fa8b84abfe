package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/transport"
)

const (
	// redialPause is how long a broken connection rests before the next try.
	redialPause = 500 * time.Millisecond
	// reachAgain is how often the first connection is tried again.
	reachAgain = 2
	// helloTimeout bounds the greeting; a guard may have to be started first.
	helloTimeout = 90 * time.Second
)

// host is one machine of the fleet as the controller holds it: a connection
// that is made anew when it breaks, because every call is idempotent.
type host struct {
	config.Host
	p         *Pipeline
	hello     rpc.HelloReply
	regaining chan struct{} // held while a lost session is taken again
	dialing   chan struct{} // held while the connection is made anew

	mu     sync.Mutex
	conn   transport.Conn
	client *rpc.Client
	way    way // of client
	hold   hold
	narrow bool // a connection with lanes broke: better go on without
}

func newHost(p *Pipeline, h config.Host) *host {
	return &host{Host: h, p: p, dialing: make(chan struct{}, 1), regaining: make(chan struct{}, 1)}
}

// reach connects, and once more, if need be, to a host that was there: one
// that is not there, or does not want us, is not asked again.
func (h *host) reach(ctx context.Context, install bool) error {
	err := h.connect(ctx, install)
	for range reachAgain {
		var t *transport.Error
		if err == nil || !broken(err) || errors.As(err, &t) && t.Kind != transport.Broken && t.Kind != transport.Gone {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(redialPause):
		}
		err = h.connect(ctx, install)
	}
	return err
}

// connect dials, places the helper if install is set, and shakes hands.
func (h *host) connect(ctx context.Context, install bool) error {
	conn, err := h.p.Dial(ctx, h.Host)
	if err != nil {
		return err
	}
	client, hello, w, err := h.p.shake(ctx, h, conn, install)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conn, h.client, h.hello, h.way = conn, client, hello, w
	return nil
}

// shake starts the bridge over conn and opens the protocol.
func (p *Pipeline) shake(ctx context.Context, h *host, conn transport.Conn, install bool) (*rpc.Client, rpc.HelloReply, way, error) {
	line, err := p.Bridge(ctx, conn, h.Host, install)
	if err != nil {
		return nil, rpc.HelloReply{}, way{}, err
	}
	pipe, err := conn.Pipe(ctx, line)
	if err != nil {
		return nil, rpc.HelloReply{}, way{}, fmt.Errorf("start bridge: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, helloTimeout, fmt.Errorf("no greeting within %s", helloTimeout))
	defer cancel()
	client, hello, err := rpc.Dial(ctx, pipe, rpc.Hello{Protocol: rpc.Protocol, Version: p.Version})
	if err != nil {
		return nil, hello, way{}, fmt.Errorf("open protocol: %w", errors.Join(err, pipe.Close()))
	}
	return client, hello, way{pipe: pipe, line: line}, nil
}

// call runs fn with a live client and, when the connection broke, dials again
// and repeats it, until patience is over.
func (h *host) call(ctx context.Context, patience time.Duration, fn func(*rpc.Client) error) error {
	deadline := h.p.Now().Add(patience)
	for {
		err := h.try(ctx, fn)
		if err == nil || !broken(err) || ctx.Err() != nil || h.p.Now().After(deadline) {
			return err
		}
		h.giveUp()
		select {
		case <-ctx.Done():
			return err
		case <-time.After(redialPause):
		}
	}
}

func (h *host) try(ctx context.Context, fn func(*rpc.Client) error) error {
	client, err := h.live(ctx)
	if err != nil {
		return err
	}
	return fn(client)
}

// live is a client whose connection has not ended; where it has, the first who
// asks dials anew, and the others wait for that.
func (h *host) live(ctx context.Context) (*rpc.Client, error) {
	select {
	case h.dialing <- struct{}{}:
		defer func() { <-h.dialing }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if client := h.current(); client != nil {
		select {
		case <-client.Done():
			h.giveUp()
		default:
			return client, nil
		}
	}
	if err := h.connect(ctx, false); err != nil {
		return nil, err
	}
	return h.current(), nil
}

func (h *host) current() *rpc.Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.client
}

// drop ends the connection; what it held on the host ends with it.
func (h *host) drop() { closeBoth(h.take()) }

// giveUp is drop for a connection that is broken: freeing what the host still
// holds of it may take longer than the next try can wait.
func (h *host) giveUp() {
	client, conn := h.take()
	go closeBoth(client, conn)
}

func (h *host) take() (*rpc.Client, transport.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	client, conn := h.client, h.conn
	h.client, h.conn = nil, nil
	h.narrow = h.narrow || h.way.wide
	return client, conn
}

func closeBoth(client *rpc.Client, conn transport.Conn) {
	if client != nil {
		_ = client.Close() // the connection is given up either way
	}
	if conn != nil {
		_ = conn.Close()
	}
}

// broken reports whether asking again may help: the wire failed, not the host.
func broken(err error) bool {
	var refused *rpc.Error
	if errors.As(err, &refused) {
		return false
	}
	var t *transport.Error
	if errors.As(err, &t) {
		return t.Kind != transport.Denied && t.Kind != transport.Certificate
	}
	return true
}
