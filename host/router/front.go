package router

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-shipper/shipper/problem"
)

const (
	readHeaderTimeout = 10 * time.Second  // of a client; bodies may take as long as they like
	clientIdleTimeout = 120 * time.Second // of a client's kept connection
	maxRequestHeader  = 64 << 10          // bytes
)

// front is a public address that is bound, for all services behind it.
type front struct {
	listen   string
	listener net.Listener
	server   *http.Server
	routes   atomic.Pointer[routes]
}

// bind takes the address, exclusively, and does not serve yet.
func bind(ctx context.Context, e *env, addr string) (*front, error) {
	lc := net.ListenConfig{Control: exclusive}
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, &problem.Error{
			What: "listen on " + addr,
			Hint: "find the process that owns the port (netstat -ano), or change traffic.listen; on Windows look at `netsh int ipv4 show excludedportrange tcp` too",
			Err:  fmt.Errorf("%w: %w", ErrConflict, err),
		}
	}
	f := &front{listen: addr, listener: l}
	f.server = &http.Server{
		Handler:           f,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       clientIdleTimeout,
		MaxHeaderBytes:    maxRequestHeader,
		ErrorLog:          e.errlog,
	}
	f.routes.Store(&routes{})
	return f, nil
}

// ServeHTTP finds the service that a request is for.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := f.routes.Load().find(r.Host, r.URL.Path)
	if s == nil {
		refuse(w, http.StatusNotFound, "no service answers to this name and path")
		return
	}
	s.ServeHTTP(w, r)
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
