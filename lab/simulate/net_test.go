package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/router/socket"
)

// network is the loopback of one host. Every piece of data takes a time of
// its own, so that hardly two things happen at the same instant: who comes
// first is decided by the seed, not by the scheduler.
type network struct {
	world     *world
	mu        sync.Mutex
	rng       *rand.Rand
	listeners map[string]*listener
	conns     map[*conn]int // by when they were made
	made      int
	port      int
}

func newNetwork(w *world, rng *rand.Rand) *network {
	return &network{world: w, rng: rng, listeners: map[string]*listener{}, conns: map[*conn]int{}, port: 40000}
}

var errReset = errors.New("connection reset")

type listener struct {
	net   *network
	addr  string
	queue chan net.Conn
	gone  chan struct{}
	once  sync.Once
	end   deadline
}

// listen takes an address; port 0 is one that nobody has.
func (n *network) listen(_ context.Context, addr string) (socket.Source, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr == "127.0.0.1:0" {
		n.port++
		addr = fmt.Sprintf("127.0.0.1:%d", n.port)
	}
	if n.listeners[addr] != nil {
		return nil, fmt.Errorf("listen %s: address in use", addr)
	}
	l := &listener{net: n, addr: addr, queue: make(chan net.Conn, 64), gone: make(chan struct{}), end: newDeadline()}
	n.listeners[addr] = l
	return l, nil
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.gone:
		return nil, net.ErrClosed
	case <-l.end.passed():
		return nil, os.ErrDeadlineExceeded
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		delete(l.net.listeners, l.addr)
		close(l.gone)
		for {
			select {
			case c := <-l.queue:
				go c.(*conn).reset()
			default:
				return
			}
		}
	})
	return nil
}

func (l *listener) Addr() net.Addr                { return address(l.addr) }
func (l *listener) SetDeadline(t time.Time) error { l.end.set(t); return nil }

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// dial connects within the host.
func (n *network) dial(ctx context.Context, addr string) (net.Conn, error) {
	return n.dialFrom(ctx, addr, "127.0.0.1:50000", nil)
}

// dialFrom connects from elsewhere, over a link that may fail.
func (n *network) dialFrom(ctx context.Context, addr, from string, l *link) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	at := n.listeners[addr]
	if at == nil {
		return nil, fmt.Errorf("dial %s: refused", addr)
	}
	a, b := newHalf(), newHalf()
	seed := n.rng.Uint64()
	here := &conn{net: n, in: a, out: b, link: l, local: from, remote: addr, rng: rand.New(rand.NewPCG(seed, 1))}
	there := &conn{net: n, in: b, out: a, link: l, local: addr, remote: from, rng: rand.New(rand.NewPCG(seed, 2))}
	here.peer, there.peer = there, here
	select {
	case at.queue <- there:
	default:
		return nil, fmt.Errorf("dial %s: backlog is full", addr)
	}
	n.made += 2
	n.conns[here], n.conns[there] = n.made, n.made+1
	return here, nil
}

// reset breaks every connection, as a loss of power does.
func (n *network) reset() { n.breakThose(func(*conn) bool { return true }) }

// resetTo breaks those of one program, by the address that it listens on.
func (n *network) resetTo(addr string) {
	n.breakThose(func(c *conn) bool { return c.local == addr || c.remote == addr })
}

// resetLink breaks the connections of one link.
func (n *network) resetLink(l *link) { n.breakThose(func(c *conn) bool { return c.on(l) }) }

func (n *network) breakThose(which func(*conn) bool) {
	n.mu.Lock()
	var all []*conn
	for c := range n.conns {
		if which(c) {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *conn) int { return n.conns[a] - n.conns[b] })
	n.mu.Unlock()
	for _, c := range all {
		c.reset()
	}
}

// conn is one end of a connection.
type conn struct {
	net           *network
	in, out       *half
	link          *link
	peer          *conn
	local, remote string

	mu  sync.Mutex
	rng *rand.Rand
}

func (c *conn) Read(b []byte) (int, error) { return c.in.read(b) }

// Write never waits: the pieces lie in the other end until their time has come.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, copies := c.soon(), 1
	if c.link != nil {
		var err error
		if at, copies, err = c.link.carry(c.rng); err != nil {
			c.reset()
			return 0, err
		}
	}
	c.net.world.carried(c.local, c.remote, at, b)
	for range copies {
		if err := c.out.put(b, at); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// over puts both ends at the ends of a link.
func (c *conn) over(l *link) {
	for _, end := range []*conn{c, c.peer} {
		end.mu.Lock()
		end.link = l
		end.mu.Unlock()
	}
}

func (c *conn) on(l *link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link == l
}

func (c *conn) CloseWrite() error { c.finish(); return nil }

// finish tells the other end that nothing more comes. That takes its time, as
// data does, and comes no further.
func (c *conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.soon()
	if c.link != nil {
		at = c.link.arrives(c.rng)
	}
	c.out.finish(at)
}

// soon is when something is at another place of the same host.
func (c *conn) soon() time.Time { return time.Now().Add(time.Duration(20_000 + c.rng.IntN(200_000))) }

func (c *conn) Close() error {
	c.finish()
	c.in.fail(net.ErrClosed)
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	delete(c.net.conns, c)
	return nil
}

func (c *conn) reset() {
	c.in.fail(errReset)
	c.out.fail(errReset)
}

func (c *conn) LocalAddr() net.Addr                { return address(c.local) }
func (c *conn) RemoteAddr() net.Addr               { return address(c.remote) }
func (c *conn) SetDeadline(t time.Time) error      { c.in.end.set(t); return nil }
func (c *conn) SetReadDeadline(t time.Time) error  { c.in.end.set(t); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { return nil }

// half is one direction.
type half struct {
	mu     sync.Mutex
	pieces []piece
	eof    time.Time // when it is known that nothing more comes; zero: more may
	err    error
	news   chan struct{}
	end    deadline
}

type piece struct {
	at   time.Time
	data []byte
}

func newHalf() *half { return &half{news: make(chan struct{}, 1), end: newDeadline()} }

func (h *half) put(b []byte, at time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return h.err
	}
	if !h.eof.IsZero() {
		return net.ErrClosed
	}
	at = h.behind(at)
	h.pieces = append(h.pieces, piece{at, append([]byte(nil), b...)})
	h.tell()
	return nil
}

func (h *half) tell() {
	select {
	case h.news <- struct{}{}:
	default:
	}
}

// behind is at, but not before what was sent before.
func (h *half) behind(at time.Time) time.Time {
	if n := len(h.pieces); n > 0 && at.Before(h.pieces[n-1].at) {
		return h.pieces[n-1].at
	}
	return at
}

func (h *half) finish(at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.eof.IsZero() {
		h.eof = h.behind(at)
	}
	h.tell()
}

func (h *half) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = err
	}
	h.tell()
}

func (h *half) read(b []byte) (int, error) {
	for {
		n, wait, err := h.try(b)
		if n > 0 || err != nil {
			return n, err
		}
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case <-h.news:
		case <-due:
		case <-h.end.passed():
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// try gives what has come, or how long the next piece takes.
func (h *half) try(b []byte) (n int, wait time.Duration, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.err != nil:
		h.tell()
		return 0, 0, h.err
	case len(h.pieces) == 0 && h.eof.IsZero():
		return 0, 0, nil
	case len(h.pieces) == 0:
		if wait := time.Until(h.eof); wait > 0 {
			return 0, wait, nil
		}
		h.tell()
		return 0, 0, io.EOF
	}
	if wait := time.Until(h.pieces[0].at); wait > 0 {
		return 0, wait, nil
	}
	n = copy(b, h.pieces[0].data)
	if h.pieces[0].data = h.pieces[0].data[n:]; len(h.pieces[0].data) == 0 {
		h.pieces = h.pieces[1:]
	}
	return n, 0, nil
}

// deadline is a channel that closes at a time that may be moved.
type deadline struct{ state *deadlineState }

type deadlineState struct {
	mu    sync.Mutex
	timer *time.Timer
	done  chan struct{}
}

func newDeadline() deadline { return deadline{&deadlineState{done: make(chan struct{})}} }

func (d deadline) passed() <-chan struct{} {
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	return d.state.done
}

func (d deadline) set(t time.Time) {
	s := d.state
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	select {
	case <-s.done:
		s.done = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	done := s.done
	if left := time.Until(t); left > 0 {
		s.timer = time.AfterFunc(left, func() { s.close(done) })
		return
	}
	close(done)
}

func (s *deadlineState) close(done chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == done {
		select {
		case <-done:
		default:
			close(done)
		}
	}
}

// link is the way between one controller and one host.
type link struct {
	mu     sync.Mutex
	down   bool        // nothing arrives, and nothing comes back
	back   time.Time   // when that ends
	frozen time.Time   // until then everything waits
	dead   bool        // the controller is gone
	twice  int         // of 1000 messages so many arrive twice
	lose   int         // of 1000 messages so many break the connection
	due    []time.Time // when messages arrive, of which that has not been asked for
}

func (l *link) carry(rng *rand.Rand) (at time.Time, copies int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, copies, err = l.travel(rng); copies > 0 {
		l.due = append(l.due, at)
	}
	return at, copies, err
}

// arrives is when the end of a connection comes that is closed now.
func (l *link) arrives(rng *rand.Rand) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, _, _ := l.travel(rng)
	return at
}

// arrived is when the last of the messages came that have come since this was
// asked before; those that were held up may come long after they were sent.
func (l *link) arrived() (last time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.due = slices.DeleteFunc(l.due, func(at time.Time) bool {
		come := !at.After(time.Now())
		if come && at.After(last) {
			last = at
		}
		return come
	})
	return last
}

// travel is how long one message takes.
func (l *link) travel(rng *rand.Rand) (at time.Time, copies int, err error) {
	at = time.Now().Add(time.Duration(500_000 + rng.IntN(4_000_000)))
	if at.Before(l.frozen) {
		at = l.frozen.Add(time.Duration(rng.IntN(1_000_000)))
	}
	copies = 1
	if rng.IntN(1000) < l.twice {
		copies = 2
	}
	switch {
	case l.dead || rng.IntN(1000) < l.lose:
		return at, 0, errReset
	case l.down:
		return l.back.Add(time.Duration(rng.IntN(200_000_000))), copies, nil // it is sent again then
	}
	return at, copies, nil
}

func (l *link) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *link) state() (down, dead bool, frozen time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down, l.dead, l.frozen
}
