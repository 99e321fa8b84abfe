package router

import (
	"context"
	"net"

	"github.com/go-shipper/shipper/host/router/socket"
)

// control listens where the guard finds us.
func (e *env) control(ctx context.Context) (net.Listener, error) {
	const loopback = "127.0.0.1:0"
	if e.Listen != nil {
		return e.Listen(ctx, loopback)
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", loopback)
}

// public listens where clients find a service.
func (e *env) public(ctx context.Context, addr string) (*socket.Listener, error) {
	if e.Listen == nil {
		return socket.Listen(ctx, addr)
	}
	l, err := e.Listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	return socket.Over(l), nil
}

// dial connects to an instance.
func (e *env) dial(ctx context.Context, addr string) (net.Conn, error) {
	if e.Dial != nil {
		return e.Dial(ctx, addr)
	}
	d := net.Dialer{Timeout: connectTimeout, Control: failFast}
	return d.DialContext(ctx, "tcp", addr)
}
