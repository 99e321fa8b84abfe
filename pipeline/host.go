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

// redialPause is how long a broken connection rests before the next try.
const redialPause = 500 * time.Millisecond

// host is one machine of the fleet as the controller holds it: a connection
// that is made anew when it breaks, because every call is idempotent.
type host struct {
	config.Host
	p     *Pipeline
	hello rpc.HelloReply
	fence int64

	mu     sync.Mutex
	conn   transport.Conn
	client *rpc.Client
}

// connect dials, places the helper if install is set, and shakes hands.
func (h *host) connect(ctx context.Context, install bool) error {
	conn, err := h.p.Dial(ctx, h.Host)
	if err != nil {
		return err
	}
	client, hello, err := h.p.shake(ctx, h, conn, install)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conn, h.client, h.hello = conn, client, hello
	return nil
}

// shake starts the bridge over conn and opens the protocol.
func (p *Pipeline) shake(ctx context.Context, h *host, conn transport.Conn, install bool) (*rpc.Client, rpc.HelloReply, error) {
	line, err := p.Bridge(ctx, conn, h.Host, install)
	if err != nil {
		return nil, rpc.HelloReply{}, err
	}
	pipe, err := conn.Pipe(ctx, line)
	if err != nil {
		return nil, rpc.HelloReply{}, fmt.Errorf("start bridge: %w", err)
	}
	client, hello, err := rpc.Dial(ctx, pipe, rpc.Hello{Protocol: rpc.Protocol, Version: p.Version})
	if err != nil {
		return nil, hello, fmt.Errorf("open protocol: %w", errors.Join(err, pipe.Close()))
	}
	return client, hello, nil
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
		h.drop()
		select {
		case <-ctx.Done():
			return err
		case <-time.After(redialPause):
		}
	}
}

func (h *host) try(ctx context.Context, fn func(*rpc.Client) error) error {
	h.mu.Lock()
	client := h.client
	h.mu.Unlock()
	if client == nil {
		if err := h.connect(ctx, false); err != nil {
			return err
		}
		h.mu.Lock()
		client = h.client
		h.mu.Unlock()
	}
	return fn(client)
}

// drop forgets a broken connection; what it held on the host ends with it.
func (h *host) drop() {
	h.mu.Lock()
	conn, client := h.conn, h.client
	h.conn, h.client = nil, nil
	h.mu.Unlock()
	closeBoth(client, conn)
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
