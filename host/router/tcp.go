package router

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// acceptTCP is the data path of connections that are not read: claim, connect,
// and copy both ways until both ends have said all. A connection is a request
// that is answered by the instance's first byte. It is claimed before the next
// one is accepted, so that a drain which begins then waits for it.
func (s *service) acceptTCP(raw stream, preview bool) {
	who := client{addr: peerOf(raw.RemoteAddr().String()), preview: preview}
	x := &exchange{}
	ready := preview || s.isReady()
	if ready {
		x = s.claim(who)
	}
	go func() {
		defer raw.Close()
		if !ready && s.awaitReady(context.Background()) {
			x = s.claim(who)
		}
		if x.in != nil {
			s.serveTCP(raw, x)
		}
	}()
}

// serveTCP carries a connection for which an instance was claimed.
func (s *service) serveTCP(raw stream, x *exchange) {
	ctx := context.Background()
	if secure, ok := raw.(*tls.Conn); ok && !shakeHands(ctx, secure) {
		x.in.release()
		return
	}
	err := tunnel(ctx, raw, x)
	if !isConnect(err) {
		return
	}
	if stable := s.claimStable(x.choice); stable != nil {
		s.tellFallback(x.in, err)
		x.choice, x.fallback = choice{in: stable}, true
		_ = tunnel(ctx, raw, x) // counted there
	}
}

// shakeHands comes before an instance is bothered.
func shakeHands(ctx context.Context, c *tls.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, readHeaderTimeout)
	defer cancel()
	return c.HandshakeContext(ctx) == nil
}

// tunnel connects a client to an instance that was claimed. An error means
// that nothing was sent either way.
func tunnel(ctx context.Context, raw stream, x *exchange) error {
	in := x.in
	defer in.release()
	start := in.now()
	up, err := in.conns.dial(ctx, "", "")
	if err != nil {
		x.endTCP(tcpOutcome(err), 0, start)
		return err
	}
	defer up.Close()
	down := in.conns.adopt(raw)
	if down == nil {
		x.endTCP(failedTimeout, 0, start)
		return errDrained
	}
	defer down.Close()
	l := pair{x: x, start: start}
	var sent sync.WaitGroup
	sent.Go(func() { l.upload(up.(*conn), down) })
	l.download(down, up.(*conn))
	sent.Wait()
	return nil
}

func tcpOutcome(err error) outcome {
	if isConnect(err) {
		return failedConnect
	}
	return failedTimeout
}

func (x *exchange) endTCP(o outcome, bytes int, start time.Time) {
	x.end(ending{outcome: o, grpc: noGRPC, bytes: int64(bytes), took: x.in.now().Sub(start)})
}

// pair is a client and an instance, connected.
type pair struct {
	x     *exchange
	start time.Time
	left  bool // the client broke off or said all before any answer
	mu    sync.Mutex
}

// upload copies to the instance what the client says.
func (l *pair) upload(to, from *conn) {
	_, err := copyConn(to, from)
	l.mu.Lock()
	l.left = true
	l.mu.Unlock()
	if err != nil {
		to.Close() // whoever broke: the other cannot go on
		return
	}
	_ = to.CloseWrite()
}

// download copies to the client what the instance says, and counts.
func (l *pair) download(to, from *conn) {
	first := make([]byte, 1)
	n, err := from.Read(first)
	if n == 0 {
		l.x.endTCP(l.silence(err), 0, l.start)
	} else {
		l.x.endTCP(answered, n, l.start)
		if _, err = to.Write(first); err == nil {
			var rest int64
			rest, err = copyConn(to, from)
			l.x.in.counters.bytes.Add(rest)
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		to.Close()
		return
	}
	_ = to.CloseWrite()
}

// silence sorts an instance's end without a byte.
func (l *pair) silence(err error) outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.x.in.conns.isClosed():
		return failedTimeout
	case l.left:
		return canceled
	}
	return failedAborted
}

// copyConn copies below the bookkeeping, so that the system may do it alone
// where it can.
func copyConn(to, from *conn) (int64, error) {
	return io.Copy(to.stream, onlyReader(from.stream))
}

// onlyReader keeps a TCP connection what it is and hides what else there is.
func onlyReader(s stream) io.Reader {
	if tcp, ok := s.(*net.TCPConn); ok {
		return tcp
	}
	return struct{ io.Reader }{s}
}
