package wsman

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/go-shipper/shipper/lab/wsman/ntlm"
)

type connKey struct{}

// connection is what the service knows about one TCP connection: a logon
// holds for the connection, not for the request. HTTP/1.1 serves the requests
// of a connection one after the other, so nothing here needs a lock.
type connection struct {
	acceptor *ntlm.Acceptor // an exchange under way, or done
	user     string         // authenticated by NTLM
}

// authenticate returns the user, or "" after it has answered the request itself.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request, c *connection, secure bool) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case scheme == "" && c.user != "":
		return c.user
	case strings.EqualFold(scheme, "Negotiate"), strings.EqualFold(scheme, "NTLM"):
		return s.negotiate(w, c, scheme, token, secure)
	case strings.EqualFold(scheme, "Basic") && secure:
		if user := s.basic(r); user != "" {
			return user
		}
		s.config.Logf("basic logon refused")
	}
	s.unauthorized(w, secure)
	return ""
}

func (s *Server) unauthorized(w http.ResponseWriter, secure bool) {
	w.Header().Add("WWW-Authenticate", "Negotiate")
	if secure {
		w.Header().Add("WWW-Authenticate", `Basic realm="WSMAN"`)
	}
	w.WriteHeader(http.StatusUnauthorized)
}

// negotiate makes one step of an NTLM exchange.
func (s *Server) negotiate(w http.ResponseWriter, c *connection, scheme, token string, secure bool) string {
	message, err := base64.StdEncoding.DecodeString(strings.TrimSpace(token))
	if err != nil {
		s.unauthorized(w, secure)
		return ""
	}
	if ntlm.MessageType(message) == 1 {
		c.user, c.acceptor = "", ntlm.NewAcceptor(s.config.Computer, s.config.Password)
		challenge, err := c.acceptor.Challenge(message)
		if err != nil {
			s.config.Logf("ntlm: %v", err)
			s.unauthorized(w, secure)
			return ""
		}
		w.Header().Set("WWW-Authenticate", scheme+" "+base64.StdEncoding.EncodeToString(challenge))
		w.WriteHeader(http.StatusUnauthorized)
		return ""
	}
	if err := s.finish(c, message, secure); err != nil {
		s.config.Logf("ntlm logon refused: %v", err)
		c.acceptor = nil
		s.unauthorized(w, secure)
		return ""
	}
	c.user = c.acceptor.User()
	return c.user
}

func (s *Server) finish(c *connection, message []byte, secure bool) error {
	if c.acceptor == nil {
		return ntlm.ErrOrder
	}
	if s.faults.take(func(f *Faults) *int { return &f.RefuseAuth }) {
		return errors.New("refused by an armed fault")
	}
	var binding []byte
	if secure && s.bindingHash != nil {
		binding = ntlm.ChannelBinding(s.bindingHash)
	}
	return c.acceptor.Authenticate(message, binding)
}

func (s *Server) basic(r *http.Request) string {
	user, password, ok := r.BasicAuth()
	want, known := s.config.Password(user)
	same := subtle.ConstantTimeCompare([]byte(password), []byte(want)) == 1
	if !ok || !known || !same || s.faults.take(func(f *Faults) *int { return &f.RefuseAuth }) {
		return ""
	}
	return user
}
