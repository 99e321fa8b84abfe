package router

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"time"
)

// recorder passes an answer on and notes what the counters need.
type recorder struct {
	http.ResponseWriter
	in     *instance
	start  time.Time
	status int
	bytes  int64
	broken bool  // the client does not take it any more
	tunnel bool  // switched protocols, and counted then
	err    error // why there is no answer
}

// WriteHeader notes the status; interim answers (1xx) are not the answer.
func (r *recorder) WriteHeader(status int) {
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
	r.in.counters.add(answered, http.StatusSwitchingProtocols, 0, r.in.now().Sub(r.start))
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn, buf, nil
	}
	if kept := r.in.conns.adopt(tcp); kept != nil {
		return kept, buf, nil
	}
	return nil, nil, errors.Join(errDrained, tcp.Close())
}

// Unwrap lets a ResponseController reach Flush.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
