package winrm

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

const (
	maxReply    = 4 << 20  // of one answer, in bytes
	maxEnvelope = 2 << 20  // taken from a host's configuration, in bytes
	maxHeader   = 64 << 10 // of an answer, in bytes
)

// link is one TCP connection with one authentication, which holds as long as
// the connection does. One exchange at a time; after any error it is void.
type link struct {
	url       string
	transport *http.Transport
	conn      *onceConn
	cert      *tls.ConnectionState
	seals     *seals    // nil inside TLS
	basic     string    // Authorization of every request, or empty
	rested    time.Time // since when idle
}

// onceConn counts what was written: nothing written means nothing was done.
type onceConn struct {
	net.Conn
	written atomic.Int64
	taken   atomic.Bool
}

func (c *onceConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

var (
	errLinkEnded    = errors.New("the host closed the connection")
	errNoConnection = errors.New("no connection")
)

// dialLink connects, and verifies the host's certificate under HTTPS. The
// HTTP client on top may never open a second connection by itself: that one
// would not be authenticated. Proxies of the environment are not asked.
func dialLink(ctx context.Context, cfg Config) (*link, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.DialTimeout, fmt.Errorf("%w within %s", errNoConnection, cfg.DialTimeout))
	defer cancel()
	d := net.Dialer{KeepAlive: 15 * time.Second}
	tcp, err := d.DialContext(ctx, "tcp", cfg.hostport())
	if err != nil {
		return nil, causeOf(ctx, err)
	}
	l := &link{url: cfg.url(), conn: &onceConn{Conn: tcp}}
	if cfg.HTTPS {
		secure := tls.Client(tcp, cfg.tls())
		if err := secure.HandshakeContext(ctx); err != nil {
			tcp.Close()
			return nil, causeOf(ctx, err)
		}
		state := secure.ConnectionState()
		l.conn.Conn, l.cert = secure, &state
	}
	l.transport = &http.Transport{
		DialContext:            l.take,
		DialTLSContext:         l.take,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
		WriteBufferSize:        64 << 10,
		ReadBufferSize:         64 << 10,
	}
	return l, nil
}

func (l *link) take(context.Context, string, string) (net.Conn, error) {
	if l.conn.taken.Swap(true) {
		return nil, errLinkEnded
	}
	return l.conn, nil
}

func (l *link) close() {
	l.transport.CloseIdleConnections()
	l.conn.Close()
}

// answer is a host's HTTP response, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// linkError is a failed HTTP exchange. sent tells whether any byte of the
// request left, which is whether the host may have acted on it.
type linkError struct {
	err  error
	sent bool
}

func (e *linkError) Error() string { return e.err.Error() }
func (e *linkError) Unwrap() error { return e.err }

func (l *link) post(ctx context.Context, header http.Header, body []byte) (*answer, error) {
	before := l.conn.written.Load()
	a, err := l.roundTrip(ctx, header, body)
	if err != nil {
		return nil, &linkError{err: causeOf(ctx, err), sent: l.conn.written.Load() > before}
	}
	return a, nil
}

func (l *link) roundTrip(ctx context.Context, header http.Header, body []byte) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = header
	req.Header.Set("User-Agent", "shipper")
	if l.basic != "" {
		req.Header.Set("Authorization", l.basic)
	}
	resp, err := l.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxReply {
		return nil, fmt.Errorf("%w: more than %d bytes", errReply, maxReply)
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: b}, nil
}

// exchange sends one message and gives the body of its reply, or its fault.
func (l *link) exchange(ctx context.Context, m message) (*body, error) {
	kind, payload := plainType, m.body
	if l.seals != nil {
		kind, payload = fmt.Sprintf(sealedType, l.seals.protocol), l.seals.seal(m.body)
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

var errNotSealed = errors.New("the answer is not encrypted")

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
