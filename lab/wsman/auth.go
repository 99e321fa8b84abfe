package wsman

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/go-shipper/shipper/lab/wsman/krb5"
	"github.com/go-shipper/shipper/lab/wsman/ntlm"
)

// The schemes of HTTP by which clients log on.
const (
	schemeNegotiate = "Negotiate"
	schemeKerberos  = "Kerberos"
	schemeBasic     = "Basic"
	// schemeMutual is how WinRM calls a client's certificate.
	schemeMutual = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
)

var errArmed = errors.New("refused by an armed fault")

type connKey struct{}

// connection is what the service knows about one TCP connection: a logon
// holds for the connection, not for the request. HTTP/1.1 serves the requests
// of a connection one after the other, so nothing here needs a lock.
type connection struct {
	acceptor *ntlm.Acceptor // an exchange under way
	security security       // made by a logon
	user     string         // authenticated
}

// security seals the messages of a connection.
type security interface {
	Seal(plain []byte) (signature, sealed []byte, err error)
	Unseal(signature, sealed []byte) ([]byte, error)
}

// logon is one request that wants to be let in.
type logon struct {
	*Server
	w      http.ResponseWriter
	r      *http.Request
	c      *connection
	secure bool
	scheme string
	token  []byte
}

// authenticate returns the user, or "" after it has answered the request itself.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request, c *connection, secure bool) string {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	l := &logon{Server: s, w: w, r: r, c: c, secure: secure, scheme: scheme}
	if scheme == "" && c.user != "" {
		if !s.faults.take(func(f *Faults) *int { return &f.Expel }) {
			return c.user
		}
		*c = connection{}
		l.unauthorized(nil)
		return ""
	}
	var err error
	if l.token, err = base64.StdEncoding.DecodeString(strings.TrimSpace(text)); err != nil {
		l.unauthorized(nil)
		return ""
	}
	return l.dispatch()
}

// dispatch follows the scheme. It answers where it returns "".
func (l *logon) dispatch() string {
	is := func(scheme string) bool {
		return strings.EqualFold(l.scheme, scheme) && slices.Contains(l.schemes(), scheme)
	}
	kerberos := l.config.Kerberos != nil && krb5.IsToken(l.token)
	switch {
	case kerberos && (is(schemeKerberos) || is(schemeNegotiate)):
		return l.kerberos()
	case is(schemeNegotiate), strings.EqualFold(l.scheme, "NTLM") && slices.Contains(l.schemes(), schemeNegotiate):
		return l.negotiate()
	case is(schemeBasic):
		if user := l.basic(); user != "" {
			return user
		}
		l.config.Logf("basic logon refused")
	case is(schemeMutual):
		if user := l.certificate(); user != "" {
			return user
		}
		l.config.Logf("certificate refused")
	}
	l.unauthorized(nil)
	return ""
}

// schemes are those that this port takes.
func (l *logon) schemes() []string {
	offered := l.config.Schemes
	if offered == nil {
		offered = []string{schemeNegotiate, schemeKerberos, schemeBasic}
	}
	var out []string
	for _, s := range offered {
		if (s != schemeBasic || l.secure) && (s != schemeKerberos || l.config.Kerberos != nil) {
			out = append(out, s)
		}
	}
	if l.secure && l.config.ClientUser != nil {
		out = append(out, schemeMutual)
	}
	return out
}

// unauthorized names the schemes; token is what the one under way says.
func (l *logon) unauthorized(token []byte) {
	for _, s := range l.schemes() {
		switch {
		case s == schemeMutual: // not a scheme of HTTP: hosts do not name it
		case s == schemeBasic:
			l.w.Header().Add("WWW-Authenticate", `Basic realm="WSMAN"`)
		case token != nil && strings.EqualFold(s, l.scheme):
			l.w.Header().Add("WWW-Authenticate", s+" "+base64.StdEncoding.EncodeToString(token))
		default:
			l.w.Header().Add("WWW-Authenticate", s)
		}
	}
	l.w.WriteHeader(http.StatusUnauthorized)
}

// negotiate makes one step of an NTLM exchange.
func (l *logon) negotiate() string {
	c := l.c
	if ntlm.MessageType(l.token) == 1 {
		c.user, c.security, c.acceptor = "", nil, ntlm.NewAcceptor(l.config.Computer, l.config.Password)
		challenge, err := c.acceptor.Challenge(l.token)
		if err != nil {
			l.config.Logf("ntlm: %v", err)
			l.unauthorized(nil)
			return ""
		}
		l.w.Header().Set("WWW-Authenticate", l.scheme+" "+base64.StdEncoding.EncodeToString(challenge))
		l.w.WriteHeader(http.StatusUnauthorized)
		return ""
	}
	acceptor := c.acceptor
	c.acceptor = nil
	if err := l.finish(acceptor); err != nil {
		l.config.Logf("ntlm logon refused: %v", err)
		l.unauthorized(nil)
		return ""
	}
	c.user, c.security = acceptor.User(), acceptor
	return c.user
}

func (l *logon) finish(acceptor *ntlm.Acceptor) error {
	if acceptor == nil {
		return ntlm.ErrOrder
	}
	if l.armed() {
		return errArmed
	}
	return acceptor.Authenticate(l.token, l.binding(), l.config.StrictBinding)
}

// armed tells whether a fault refuses this logon.
func (l *logon) armed() bool { return l.faults.take(func(f *Faults) *int { return &f.RefuseAuth }) }

// binding is what the client's logon may be bound to, nil without TLS.
func (l *logon) binding() []byte {
	if !l.secure || l.bindingHash == nil {
		return nil
	}
	return ntlm.ChannelBinding(l.bindingHash)
}

// kerberos takes a ticket, and proves that the host could read it.
func (l *logon) kerberos() string {
	a := l.config.Kerberos.Accept()
	answer, err := a.Authenticate(l.token, l.binding(), l.config.StrictBinding)
	if err == nil && l.armed() {
		answer, err = nil, errArmed
	}
	if err != nil {
		l.config.Logf("kerberos logon refused: %v", err)
		l.unauthorized(answer)
		return ""
	}
	l.c.user, l.c.security = a.User(), a
	l.w.Header().Set("WWW-Authenticate", l.scheme+" "+base64.StdEncoding.EncodeToString(answer))
	return a.User()
}

func (l *logon) basic() string {
	user, password, ok := l.r.BasicAuth()
	want, known := l.config.Password(user)
	same := subtle.ConstantTimeCompare([]byte(password), []byte(want)) == 1
	if !ok || !known || !same || l.armed() {
		return ""
	}
	return user
}

// certificate maps the client's certificate to an account, as the host's
// administrator has set it up. TLS has shown that the client has its key.
func (l *logon) certificate() string {
	if l.r.TLS == nil || len(l.r.TLS.PeerCertificates) == 0 {
		return ""
	}
	user, known := l.config.ClientUser(l.r.TLS.PeerCertificates[0])
	if !known || l.armed() {
		return ""
	}
	return user
}
