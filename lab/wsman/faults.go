package wsman

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// Faults are what can go wrong on purpose. The zero value is a healthy service.
type Faults struct {
	Latency       time.Duration // before each reply
	CutAfterBytes int64         // cut one connection after so many bytes from clients, counted over all; 0 never
	Unavailable   time.Duration // answer 503 for so long
	RefuseAuth    int           // answer so many logons with 401, though they are right
	HoldSends     int           // so many Sends are delivered, but answered TimedOut
	BusySends     int           // so many Sends are not delivered, but answered "busy"
	LoseShells    int           // so many Sends find no shell: all are gone
	Expel         int           // so many requests of known connections are answered 401
	Silence       time.Duration // take requests and say nothing for so long
	After         int           // so many Sends go well before all this
}

// faultState holds the armed faults and what is left of them.
type faultState struct {
	mu    sync.Mutex
	left  Faults
	began time.Time // when After was over
}

func (f *faultState) set(faults Faults) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.began = faults, time.Now()
}

// sent counts a Send.
func (f *faultState) sent() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left.After > 0 {
		f.left.After--
		f.began = time.Now()
	}
}

// within tells whether a fault that lasts is on, and how long it still is.
func (f *faultState) within(duration func(Faults) time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left.After > 0 {
		return 0
	}
	return max(0, duration(f.left)-time.Since(f.began))
}

// delay waits for the armed latency, and out the silence.
func (f *faultState) delay(ctx context.Context) {
	f.mu.Lock()
	latency := f.left.Latency
	f.mu.Unlock()
	d := max(latency, f.within(func(f Faults) time.Duration { return f.Silence }))
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// refuse answers with 503 inside of the armed window.
func (f *faultState) refuse(w http.ResponseWriter) bool {
	down := f.within(func(f Faults) time.Duration { return f.Unavailable }) > 0
	if down {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	return down
}

// take uses up one of a counted fault.
func (f *faultState) take(counter func(*Faults) *int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := counter(&f.left)
	if *n <= 0 || f.left.After > 0 {
		return false
	}
	*n--
	return true
}

// received counts n bytes and tells whether the connection is to be cut.
func (f *faultState) received(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left.CutAfterBytes <= 0 || f.left.After > 0 {
		return false
	}
	f.left.CutAfterBytes -= int64(n)
	return f.left.CutAfterBytes <= 0
}

// faultListener makes connections that can be cut.
type faultListener struct {
	net.Listener
	faults *faultState
}

func (l faultListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &faultConn{Conn: c, faults: l.faults}, nil
}

type faultConn struct {
	net.Conn
	faults *faultState
}

func (c *faultConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.faults.received(n) {
		if t, ok := c.Conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // reset instead of an orderly end
		}
		_ = c.Conn.Close()
		return 0, net.ErrClosed
	}
	return n, err
}
