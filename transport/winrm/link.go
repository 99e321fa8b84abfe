package winrm

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

const maxEnvelope = 2 << 20 // taken from a host's configuration, in bytes

// link is one TCP connection with one authentication, which holds as long as
// the connection does. One exchange at a time; after any error it is void.
type link struct {
	url      string
	conn     *counted
	wire     net.Conn // below TLS
	incoming *limited
	reader   *bufio.Reader // of incoming
	cert     *tls.ConnectionState
	seals    *seals        // nil inside TLS
	logoff   func()        // frees what a logon keeps; nil: nothing
	basic    string        // Authorization of every request, or empty
	delay    time.Duration // of the fastest exchange
	over     bool          // the host said that it closes the connection
	rested   time.Time     // since when idle
	watched  chan error    // while idle: what the watch saw
}

// counted counts what was written: nothing written means nothing was done.
type counted struct {
	net.Conn
	written atomic.Int64
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

var (
	errLinkEnded    = errors.New("the host closed the connection")
	errNoConnection = errors.New("no connection")
)

// dialLink connects, and verifies the host's certificate under HTTPS.
func dialLink(ctx context.Context, cfg Config) (*link, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.DialTimeout, fmt.Errorf("%w within %s", errNoConnection, cfg.DialTimeout))
	defer cancel()
	tcp, err := cfg.dial(ctx)
	if err != nil {
		return nil, noConnection(ctx, err)
	}
	l := &link{url: cfg.url(), conn: &counted{Conn: tcp}, wire: tcp}
	if cfg.HTTPS {
		secure := tls.Client(tcp, cfg.tls())
		if err := secure.HandshakeContext(ctx); err != nil {
			tcp.Close()
			return nil, causeOf(ctx, err)
		}
		state := secure.ConnectionState()
		l.conn.Conn, l.cert = secure, &state
	}
	l.incoming = &limited{r: l.conn, left: maxHeader}
	l.reader = bufio.NewReader(l.incoming)
	return l, nil
}

// noConnection keeps in mind at whom a dial failed.
func noConnection(ctx context.Context, err error) error {
	var proxy *proxyError
	if errors.As(err, &proxy) {
		return &proxyError{proxy.host, causeOf(ctx, proxy.err)}
	}
	return causeOf(ctx, err)
}

// close says no farewell: a host that takes nothing in any more would be
// waited for.
func (l *link) close() {
	l.wire.Close()
	if l.logoff != nil {
		l.logoff()
	}
}

// rest watches the idle link for its end.
func (l *link) rest() {
	l.rested, l.watched = time.Now(), make(chan error, 1)
	go func(watched chan<- error) {
		_, err := l.reader.Peek(1)
		watched <- err
	}(l.watched)
}

// wake ends the watch and tells whether the link is still good. A host that
// speaks without being asked is not.
func (l *link) wake() bool {
	if l.conn.SetReadDeadline(time.Unix(1, 0)) != nil {
		return false
	}
	err := <-l.watched
	return errors.Is(err, os.ErrDeadlineExceeded) && l.conn.SetReadDeadline(time.Time{}) == nil
}

// exchange sends one message and gives the body of its reply, or its fault.
// Without TLS nothing leaves unsealed, however the logon went.
func (l *link) exchange(ctx context.Context, m message) (*body, error) {
	kind, payload := plainType, m.body
	if l.seals == nil && l.cert == nil {
		return nil, errNotSealed
	}
	if l.seals != nil {
		sealed, err := l.seals.seal(m.body)
		if err != nil {
			return nil, &linkError{err: err}
		}
		kind, payload = fmt.Sprintf(sealedType, l.seals.protocol), sealed
	}
	a, err := l.post(ctx, http.Header{"Content-Type": {kind}}, payload)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK && (a.status != http.StatusInternalServerError || len(a.body) == 0) {
		return nil, &httpError{status: a.status, offers: a.header.Values("WWW-Authenticate")}
	}
	plain, err := l.plain(a)
	if err != nil {
		return nil, &linkError{err: err, sent: true}
	}
	return check(m, a.status, plain)
}

// plain opens the answer. On a sealing link nothing unsealed is believed.
func (l *link) plain(a *answer) ([]byte, error) {
	kind := strings.ToLower(a.header.Get("Content-Type"))
	if l.seals == nil {
		return a.body, nil
	}
	if !strings.HasPrefix(kind, "multipart/encrypted") {
		return nil, errNotSealed
	}
	return l.seals.open(a.body)
}

var errNotSealed = errors.New("the connection is not encrypted")

// check parses the reply and makes sure that it answers this message.
func check(m message, status int, plain []byte) (*body, error) {
	b, relates, err := parseReply(plain)
	if err != nil {
		return nil, &linkError{err: err, sent: true}
	}
	if !strings.EqualFold(relates, m.id) && (relates != "" || b.Fault == nil) {
		return nil, &linkError{err: fmt.Errorf("%w: it answers another request", errReply), sent: true}
	}
	if err := b.fault(status); err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, &httpError{status: status}
	}
	return b, nil
}

// httpError is an answer without an envelope.
type httpError struct {
	status int
	offers []string // WWW-Authenticate
}

func (e *httpError) Error() string { return statusError(e.status).Error() }

// offersScheme tells whether the host takes an authentication scheme.
func offersScheme(offers []string, scheme string) bool {
	for _, o := range offers {
		if name, _, _ := strings.Cut(strings.TrimSpace(o), " "); strings.EqualFold(name, scheme) {
			return true
		}
	}
	return false
}

// causeOf prefers the reason of a context that ended over "deadline exceeded".
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
