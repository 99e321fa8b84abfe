package router

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/go-shipper/shipper/host/router/certs"
	"github.com/go-shipper/shipper/host/router/strict"
)

// stream is a connection of which one direction can be closed.
type stream interface {
	net.Conn
	CloseWrite() error
}

// door stands between a front's listener and its HTTP server. TLS ends here,
// lazily: by the first read, on the connection's own goroutine. What belongs
// to a TCP service never gets to the server.
type door struct {
	net.Listener
	front *front
	tls   *tls.Config
}

func newDoor(f *front) *door {
	d := &door{Listener: f.listener, front: f}
	d.tls = &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return certs.Find(f.routes.Load().certs, hello)
		},
	}
	return d
}

// Accept gives connections that speak HTTP.
func (d *door) Accept() (net.Conn, error) {
	for {
		raw, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		routes := d.front.routes.Load()
		s := raw.(stream)
		if routes.secure {
			s = tls.Server(s, d.tls)
		}
		if routes.tcp == nil {
			return &clientConn{stream: s, https: routes.secure, preview: d.front.preview}, nil
		}
		routes.tcp.acceptTCP(s, d.front.preview)
		d.front.count(nil, http.StateHijacked) // claimed, or given up
	}
}

// clientConn is the connection of an HTTP client. It lets no request through
// that another server could read in another way.
type clientConn struct {
	stream
	https   bool
	preview bool // it came to the preview
	scanner strict.Scanner
	refused error
	tunnel  atomic.Bool // its bytes are no HTTP any more
	pins    pins
}

// Read is called by one goroutine at a time.
func (c *clientConn) Read(p []byte) (int, error) {
	if c.refused != nil {
		return 0, c.refused
	}
	n, err := c.stream.Read(p)
	if n == 0 || c.tunnel.Load() {
		return n, err
	}
	passed, refused := c.scanner.Scan(p[:n])
	if refused != nil {
		c.refused = refused
		return passed, refused
	}
	return passed, err
}

// Close ends what was tied to the connection too.
func (c *clientConn) Close() error {
	c.pins.close()
	return c.stream.Close()
}

type clientKey struct{}

// withClient makes the connection known to its requests.
func withClient(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// clientOf gives the connection of a request.
func clientOf(r *http.Request) *clientConn {
	c, _ := r.Context().Value(clientKey{}).(*clientConn)
	return c
}
