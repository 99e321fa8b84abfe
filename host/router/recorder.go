package router

import (
	"bufio"
	"cmp"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// recorder passes an answer on and notes what the counters need.
type recorder struct {
	http.ResponseWriter
	in        *instance
	x         *exchange
	start     time.Time
	status    int
	bytes     int64
	broken    bool  // the client does not take it any more
	websocket bool  // asked to become one
	old       bool  // the client speaks HTTP/1.0
	tunnel    bool  // switched protocols, and counted then
	err       error // why there is no answer
}

// WriteHeader notes the status; interim answers (1xx) are not the answer, and
// to HTTP/1.0 they are unknown. A 100 is left to the server, which sends it as
// soon as the body is asked for: the instance's own would come a second time.
func (r *recorder) WriteHeader(status int) {
	if status == http.StatusContinue || status < 200 && r.old {
		return
	}
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	if err != nil {
		r.broken = true
	}
	return n, err
}

// Hijack hands the connection over to a tunnel, which may live for hours: the
// request is counted now.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	r.tunnel = true
	r.status = http.StatusSwitchingProtocols
	r.end(answered)
	client, ok := conn.(*clientConn)
	if !ok {
		return conn, buf, nil
	}
	client.tunnel.Store(true)
	end := stream(client)
	if r.websocket {
		end = &websocket{stream: client}
	}
	if kept := r.in.conns.adopt(end); kept != nil {
		return kept, buf, nil
	}
	return nil, nil, errors.Join(errDrained, client.Close())
}

// end hands over what the counters need.
func (r *recorder) end(o outcome) {
	a := ending{outcome: o, status: r.status, grpc: noGRPC, bytes: r.bytes, took: r.in.now().Sub(r.start)}
	if o == answered && r.status == http.StatusOK {
		a.grpc = grpcStatus(r.Header())
	}
	r.x.end(a)
}

// grpcStatus is that of the trailers, which ReverseProxy leaves in the header
// with a prefix unless they were announced; an answer without a body has it in
// its header. A gRPC answer that ends without one is unknown (2).
func grpcStatus(h http.Header) int {
	kind := h.Get("Content-Type")
	if !strings.HasPrefix(kind, "application/grpc") {
		return noGRPC
	}
	text := cmp.Or(h.Get("Grpc-Status"), h.Get(http.TrailerPrefix+"Grpc-Status"))
	code, err := strconv.Atoi(text)
	switch {
	case text == "" && strings.HasPrefix(kind, "application/grpc-web"):
		return noGRPC // its trailers are in the body
	case err != nil || code < 0 || code > 16:
		return grpcUnknown
	default:
		return code
	}
}

// Unwrap lets a ResponseController reach Flush.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
