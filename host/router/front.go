package router

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-shipper/shipper/host/router/socket"
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
	preview  bool // of one service's new release
	listener *socket.Listener
	server   *http.Server
	routes   atomic.Pointer[routes]

	idleGrace time.Duration
	clients   atomic.Int64 // connections, but for those that became tunnels
	leaving   atomic.Bool
	alone     chan struct{} // closed when leaving and no client is left
	aloneOnce sync.Once
}

// bind takes the address, exclusively, and does not serve yet.
func bind(ctx context.Context, e *env, addr string) (*front, error) {
	l, err := e.public(ctx, addr)
	if err != nil {
		return nil, &problem.Error{
			What: "listen on " + addr,
			Hint: "find the process that owns the port (netstat -ano), or change traffic.listen; on Windows look at `netsh int ipv4 show excludedportrange tcp` too",
			Err:  fmt.Errorf("%w: %w", ErrConflict, err),
		}
	}
	return newFront(e, addr, l), nil
}

func newFront(e *env, addr string, l *socket.Listener) *front {
	f := &front{listen: addr, listener: l, idleGrace: e.IdleGrace, alone: make(chan struct{})}
	l.Accepted = func() { f.clients.Add(1) }
	f.server = &http.Server{
		Handler:           f,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       clientIdleTimeout,
		MaxHeaderBytes:    maxRequestHeader,
		ErrorLog:          e.errlog,
		ConnState:         f.count,
		ConnContext:       withClient,
		Protocols:         &http.Protocols{},
	}
	f.server.Protocols.SetHTTP1(true)
	f.server.Protocols.SetUnencryptedHTTP2(true) // over TLS too: it ends before the server
	f.routes.Store(newRoutes(nil))
	return f
}

// count notes that a client is gone, or became a tunnel. Its coming was noted
// by the listener, before a pause of it could return.
func (f *front) count(_ net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	if f.clients.Add(-1) == 0 && f.leaving.Load() {
		f.markAlone()
	}
}

func (f *front) markAlone() { f.aloneOnce.Do(func() { close(f.alone) }) }

// ServeHTTP finds the service that a request is for.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.leaving.Load() && r.Header.Get("Upgrade") == "" {
		w.Header().Set("Connection", "close")
	}
	if !visible(r.RequestURI) { // of HTTP/2; to an instance it would end earlier
		refuse(w, http.StatusBadRequest, "a target with spaces")
		return
	}
	s := f.routes.Load().find(r.Host, r.URL.Path)
	if s == nil {
		refuse(w, http.StatusNotFound, "no service answers to this name and path")
		return
	}
	s.ServeHTTP(w, r)
}

// serve returns when the front is closed, or its listener broke.
func (f *front) serve() error { return f.server.Serve(newDoor(f)) }

// close ends it at once; it is also for a front that never served.
func (f *front) close() {
	f.listener.Close()
	f.server.Close()
}

// drain listens no more and lets requests finish, up to timeout. A client
// whose connection is idle may be about to send: it gets one more answer, which
// says that it is the last, and only after idleGrace the connection is closed.
func (f *front) drain(timeout time.Duration) {
	f.leaving.Store(true)
	f.listener.Close()
	if f.clients.Load() == 0 {
		f.markAlone()
	}
	select {
	case <-f.alone:
	case <-time.After(min(f.idleGrace, timeout)):
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), timeout, errDrained)
	defer cancel()
	if f.server.Shutdown(ctx) != nil {
		f.server.Close()
	}
}
