// Package response notes what a handler answers, for those who log or count it.
package response

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// Recorder passes an answer on and notes its status and size. What else the
// server's writer can do is still there: by http.ResponseController, and
// flushing, hijacking and reading from also by their methods.
type Recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Record returns w itself if it is a Recorder, so that one serves all.
func Record(w http.ResponseWriter) *Recorder {
	if r, ok := w.(*Recorder); ok {
		return r
	}
	return &Recorder{ResponseWriter: w}
}

// Status is that of the answer: 200 if the handler said nothing, 101 of a
// connection that was taken over.
func (r *Recorder) Status() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}

// Bytes of the body so far.
func (r *Recorder) Bytes() int64 { return r.bytes }

// WriteHeader notes the first status that is no provisional one.
func (r *Recorder) WriteHeader(status int) {
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *Recorder) Write(p []byte) (int, error) {
	r.begun()
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// ReadFrom lets a file go to the connection without passing through here.
func (r *Recorder) ReadFrom(from io.Reader) (int64, error) {
	r.begun()
	n, err := io.Copy(r.ResponseWriter, from)
	r.bytes += n
	return n, err
}

func (r *Recorder) begun() {
	if r.status == 0 {
		r.status = http.StatusOK
	}
}

// Flush sends what was written so far, where the server can.
func (r *Recorder) Flush() {
	r.begun()
	_ = http.NewResponseController(r.ResponseWriter).Flush()
}

// Hijack takes the connection over, where the server can.
func (r *Recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil && r.status == 0 {
		r.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

// Unwrap is for http.ResponseController.
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
