package reload

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limiter bounds how many connections a server has open. The bound may change
// at any time. A lower one cuts nobody off: new connections wait, and of those
// that are too many each is told to close with its next answer, until the
// bound is met; idle ones end by the server's IdleTimeout.
type Limiter struct {
	mu      sync.Mutex
	changed *sync.Cond // limit grew, or a connection ended
	limit   int64
	conns   map[*limited]struct{}
	leaving int // of conns, those that were told to close
}

// NewLimiter follows limit. With limiter l a server has
//
//	srv.ConnContext = l.ConnContext
//	srv.Handler = l.Handler(srv.Handler)
//	srv.Serve(l.Listen(listener))
func NewLimiter(limit *Value[int64]) *Limiter {
	l := &Limiter{conns: map[*limited]struct{}{}}
	l.changed = sync.NewCond(&l.mu)
	limit.OnSet(func(n int64) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.limit = n
		l.changed.Broadcast()
	})
	return l
}

// Open is the number of connections now.
func (l *Limiter) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Renew has each connection that is open now close with an answer, spread
// evenly over a time, so that its client opens another: after a change that
// only new connections see.
func (l *Limiter) Renew(over time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for c := range l.conns {
		if c.until.IsZero() {
			c.until = now.Add(rand.N(over + 1))
		}
	}
}

// Handler tells connections that are to leave.
func (l *Limiter) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(limitedKey{}).(*limited); ok && l.leaves(c) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

func (l *Limiter) leaves(c *limited) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	tooMany := int64(len(l.conns)-l.leaving) > l.limit
	if !c.leaves && (tooMany || !c.until.IsZero() && !time.Now().Before(c.until)) {
		c.leaves = true
		l.leaving++
	}
	return c.leaves
}

type limitedKey struct{}

// ConnContext lets the Handler know the connection: http.Server.ConnContext.
func (l *Limiter) ConnContext(ctx context.Context, c net.Conn) context.Context {
	if secured, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = secured.NetConn()
	}
	if ours, ok := c.(*limited); ok {
		return context.WithValue(ctx, limitedKey{}, ours)
	}
	return ctx
}

// Listen accepts only while there is room. Who waits is kept by the system,
// not refused.
func (l *Limiter) Listen(inner net.Listener) net.Listener {
	return &limitedListener{Listener: inner, limiter: l}
}

type limitedListener struct {
	net.Listener
	limiter *Limiter
	closed  bool // under limiter.mu
}

func (l *limitedListener) Accept() (net.Conn, error) {
	if !l.limiter.await(l) {
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.limiter.admit(c), nil
}

func (l *limitedListener) Close() error {
	l.limiter.mu.Lock()
	l.closed = true
	l.limiter.changed.Broadcast()
	l.limiter.mu.Unlock()
	return l.Listener.Close()
}

// await reports false if the listener was closed meanwhile.
func (l *Limiter) await(waiting *limitedListener) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for int64(len(l.conns)) >= l.limit && !waiting.closed {
		l.changed.Wait()
	}
	return !waiting.closed
}

func (l *Limiter) admit(c net.Conn) *limited {
	l.mu.Lock()
	defer l.mu.Unlock()
	ours := &limited{Conn: c, limiter: l}
	l.conns[ours] = struct{}{}
	return ours
}

// limited is a connection that counts. Its fields are under limiter.mu.
type limited struct {
	net.Conn
	limiter *Limiter
	until   time.Time // of Renew
	leaves  bool
}

func (c *limited) Close() error {
	err := c.Conn.Close()
	l := c.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, open := l.conns[c]; open {
		delete(l.conns, c)
		if c.leaves {
			l.leaving--
		}
		l.changed.Broadcast()
	}
	return err
}
