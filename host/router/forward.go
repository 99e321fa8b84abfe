package router

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
)

// forward sends one request, for which the instance was claimed, and passes
// the answer on. An error means that nothing was written to w yet. However it
// ends, by a panic of an aborted answer too, it is counted and released.
func forward(w http.ResponseWriter, r *http.Request, x *exchange, via http.Handler) error {
	in := x.in
	rec := &recorder{ResponseWriter: w, in: in, x: x, start: in.now()}
	rec.old = !r.ProtoAtLeast(1, 1)
	rec.websocket = strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	aborted := true
	defer func() {
		if !rec.tunnel {
			rec.end(rec.outcome(r, aborted))
		}
		in.release()
	}()
	via.ServeHTTP(rec, r)
	aborted = false
	return rec.err
}

// outcome sorts how the request ended; whose fault comes first.
func (r *recorder) outcome(req *http.Request, aborted bool) outcome {
	if !aborted && r.err == nil {
		return answered
	}
	b, _ := req.Body.(*body)
	switch {
	case r.broken || req.Context().Err() != nil || b != nil && b.isBroken():
		return canceled
	case r.in.conns.isClosed() || isTimeout(r.err):
		return failedTimeout
	case isConnect(r.err):
		return failedConnect
	default:
		return failedAborted
	}
}

// mayFallBack reports whether another instance may be asked after err: this one
// never saw the request, or it ended the connection without an answer to one
// that may be sent twice. A server that stops does so to whoever came a moment
// before, also on a new connection.
func mayFallBack(r *http.Request, err error) bool {
	ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err)
	return isConnect(err) || ended && isRepeatable(r)
}

func isConnect(err error) bool {
	var c *connectError
	return errors.As(err, &c)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout() && !isConnect(err)
}

func newProxy(addr string, pool http.RoundTripper, e *env) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", addr
			// ReverseProxy drops what it cannot parse; an instance shall see
			// the query that the client sent.
			p.Out.URL.RawQuery = p.In.URL.RawQuery
			// Cleaned before; ReverseProxy takes them out once more.
			for _, name := range []string{forwardedFor, forwardedHost, forwardedProto} {
				p.Out.Header[name] = p.In.Header[name]
			}
			if b, ok := p.In.Body.(*body); ok {
				p.Out.GetBody = b.again
			}
		},
		Transport:    pool,
		BufferPool:   e.buffers,
		ErrorLog:     e.errlog,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) { w.(*recorder).err = err },
	}
}

// bufferPool lends copy buffers.
type bufferPool struct{ sync.Pool }

type buffer [32 << 10]byte

func newBufferPool() *bufferPool {
	return &bufferPool{sync.Pool{New: func() any { return new(buffer) }}}
}

// Get and Put make it an httputil.BufferPool.
func (p *bufferPool) Get() []byte  { return p.Pool.Get().(*buffer)[:] }
func (p *bufferPool) Put(b []byte) { p.Pool.Put((*buffer)(b)) }
