// Package wsman is a WinRM service: WS-Management with the shell/cmd resource
// as Windows serves it, over HTTP with NTLM and sealed messages, and over
// HTTPS with Basic, NTLM or a client's certificate; by Kerberos over both. What a command is, a Runner decides; the package
// knows nothing of Windows.
package wsman

import (
	"context"
	"crypto"
	_ "crypto/sha256" // what certificates are hashed with
	_ "crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/go-shipper/shipper/lab/wsman/krb5"
)

// Runner starts the commands of the shells.
type Runner interface {
	Start(ctx context.Context, c Command) (Process, error)
}

// Command is what a client asked for.
type Command struct {
	Line   string   // the command line, raw
	Direct bool     // without cmd.exe (WINRS_SKIP_CMD_SHELL)
	Dir    string   // working directory, "" for the default
	Env    []string // NAME=value, added to the host's
}

// Process is a started command with everything it starts itself.
type Process interface {
	Stdin() io.WriteCloser
	Stdout() io.Reader
	Stderr() io.Reader
	// Wait returns the exit code once the command's own process has ended.
	Wait() (uint32, error)
	// Kill ends the process and its descendants. It may be called at any time,
	// more than once.
	Kill()
}

// ErrNoFile is what a Runner returns for a Direct command that does not exist.
var ErrNoFile = errors.New("the system cannot find the file specified")

// Limits are the host's quotas. A zero field means the default.
type Limits struct {
	EnvelopeKB int // largest request, default 500
	Shells     int // at the same time, default 30
	Operations int // commands of living shells, default 1500
}

// Config describes a service.
type Config struct {
	Runner   Runner
	Computer string // the host's name, in upper case
	// Password gives a user's password.
	Password    func(user string) (string, bool)
	Certificate *tls.Certificate // for HTTPS
	// Kerberos is the host's account in a domain, nil outside of one.
	Kerberos *krb5.Service
	// ClientUser maps the certificate of a client to an account; nil: such
	// logons are switched off.
	ClientUser func(*x509.Certificate) (user string, ok bool)
	// StrictBinding is CbtHardeningLevel=Strict: a logon over HTTPS must be
	// bound to the certificate that the client sees.
	StrictBinding bool
	// Schemes are those that are switched on; nil: Negotiate, Kerberos, Basic.
	Schemes []string
	Limits  Limits
	// Logf takes one line per refused or failed request; nil keeps silent.
	Logf func(format string, args ...any)
}

// Server is a running service. Its zero value is not usable; see New.
type Server struct {
	config      Config
	bindingHash []byte // of the certificate
	faults      *faultState
	shells      *shells
	bodies      bodies

	mu      sync.Mutex
	servers []*http.Server
	closed  bool
	asked   map[string]int // by action
}

// New returns a service that does not listen yet.
func New(c Config) *Server {
	if c.Limits.EnvelopeKB == 0 {
		c.Limits.EnvelopeKB = 500
	}
	if c.Limits.Shells == 0 {
		c.Limits.Shells = 30
	}
	if c.Limits.Operations == 0 {
		c.Limits.Operations = 1500
	}
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	s := &Server{config: c, faults: &faultState{}, shells: newShells(c.Runner, c.Limits), asked: map[string]int{}}
	if c.Certificate != nil {
		s.bindingHash = certificateHash(c.Certificate)
	}
	return s
}

// certificateHash is what clients bind a logon to (RFC 5929): the certificate
// by the hash of its own signature, but never a weaker one than SHA-256.
func certificateHash(c *tls.Certificate) []byte {
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil
	}
	kind := crypto.SHA256
	switch leaf.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		kind = crypto.SHA384
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		kind = crypto.SHA512
	}
	h := kind.New()
	h.Write(leaf.Raw)
	return h.Sum(nil)
}

// Serve answers HTTP on l until Close, and then returns nil.
func (s *Server) Serve(l net.Listener) error { return s.serve(l, false) }

// ServeTLS answers HTTPS on l until Close, and then returns nil.
func (s *Server) ServeTLS(l net.Listener) error {
	if s.config.Certificate == nil {
		return errors.New("serve https: no certificate")
	}
	return s.serve(l, true)
}

func (s *Server) serve(l net.Listener, secure bool) error {
	var raw net.Listener = faultListener{l, s.faults}
	if secure {
		t := &tls.Config{Certificates: []tls.Certificate{*s.config.Certificate}, MinVersion: tls.VersionTLS12}
		if s.config.ClientUser != nil {
			t.ClientAuth = tls.RequestClientCert // whom it maps to is asked later
		}
		raw = tls.NewListener(raw, t)
	}
	h := &http.Server{
		Handler:           s.handler(secure),
		ReadHeaderTimeout: 120 * time.Second, // MaxPacketRetrievalTimeSeconds
		IdleTimeout:       120 * time.Second,
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, &connection{})
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return l.Close()
	}
	s.servers = append(s.servers, h)
	s.mu.Unlock()
	if err := h.Serve(raw); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close drops listeners, connections and shells at once, as a power cut does.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	servers := s.servers
	s.mu.Unlock()
	for _, h := range servers {
		_ = h.Close() // the connections are cut, whatever they say to it
	}
	s.shells.closeAll()
}

// SetFaults arms the faults for the requests that follow.
func (s *Server) SetFaults(f Faults) { s.faults.set(f) }

// Shells tells how many shells are open.
func (s *Server) Shells() int { return s.shells.count() }

// Asked tells how many requests came for an action, by the last part of its
// name: Create, Send, Receive.
func (s *Server) Asked(action string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[action]
}

func (s *Server) count(action string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[path.Base(action)]++
}
