// Package wsman is a WinRM service: WS-Management with the shell/cmd resource
// as Windows serves it, over HTTP with NTLM and sealed messages, and over
// HTTPS with Basic or NTLM. What a command is, a Runner decides; the package
// knows nothing of Windows.
package wsman

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
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
	Limits      Limits
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
	s := &Server{config: c, faults: &faultState{}, shells: newShells(c.Runner, c.Limits)}
	if c.Certificate != nil {
		s.bindingHash = certificateHash(c.Certificate)
	}
	return s
}

// certificateHash is SHA-256 over the certificate, which is right for every
// certificate signed with SHA-256 or less (RFC 5929).
func certificateHash(c *tls.Certificate) []byte {
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(leaf.Raw)
	return sum[:]
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
		raw = tls.NewListener(raw, &tls.Config{Certificates: []tls.Certificate{*s.config.Certificate}, MinVersion: tls.VersionTLS12})
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
