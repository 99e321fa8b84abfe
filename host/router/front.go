package router

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-shipper/shipper/problem"
)

const (
	readHeaderTimeout = 10 * time.Second  // of a client; bodies may take as long as they like
	clientIdleTimeout = 120 * time.Second // of a client's kept connection
	maxRequestHeader  = 64 << 10          // bytes
)

// front is a public address that is bound.
type front struct {
	listener net.Listener
	server   *http.Server
}

// bind takes the address, exclusively, and does not serve yet.
func bind(ctx context.Context, s *service, addr string) (*front, error) {
	lc := net.ListenConfig{Control: exclusive}
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, &problem.Error{
			What: "listen on " + addr,
			Hint: "find the process that owns the port (netstat -ano), or change traffic.listen; on Windows look at `netsh int ipv4 show excludedportrange tcp` too",
			Err:  fmt.Errorf("%w: %w", ErrConflict, err),
		}
	}
	return &front{listener: l, server: &http.Server{
		Handler:           s,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       clientIdleTimeout,
		MaxHeaderBytes:    maxRequestHeader,
		ErrorLog:          s.env.errlog,
	}}, nil
}

// serve returns when the front is closed, or its listener broke.
func (f *front) serve() error { return f.server.Serve(f.listener) }

// close ends it at once; it is also for a front that never served.
func (f *front) close() {
	f.listener.Close()
	f.server.Close()
}

// drain listens no more and lets requests finish, up to timeout.
func (f *front) drain(timeout time.Duration) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), timeout, errDrained)
	defer cancel()
	if f.server.Shutdown(ctx) != nil {
		f.server.Close()
	}
}
