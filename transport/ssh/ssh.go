// Package ssh is the way to a host over OpenSSH, which Windows Server 2025
// brings along and older ones can install. Host keys are always verified.
package ssh

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/go-shipper/shipper/transport"
)

// Config says how to reach and log on to one host.
type Config struct {
	Host    string // name in errors; default Address
	Address string // DNS name or IP
	Port    int    // 0: 22
	User    string

	// At least one of these. The agent is asked first, then the key, then
	// the password; each once.
	Agent      string // socket of an authentication agent
	Key        []byte // text of a private key, OpenSSH or PEM
	Passphrase string // of the key
	Password   string

	KnownHosts  string // file; the only authority over host keys, unless Fingerprint is set
	Fingerprint string // SHA256:…, as `ssh-keygen -l` prints it: this key and no other

	DialTimeout time.Duration // connect and handshake; default 10 s
	Silence     time.Duration // of a host before it counts as lost; default 30 s

	connect func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	defaultPort    = 22
	defaultDial    = 10 * time.Second
	defaultSilence = 30 * time.Second
)

const (
	hintUnreachable = "is the OpenSSH server installed and started there (Get-Service sshd), and port 22 allowed by the firewall?"
	hintNotSSH      = "is this the port of an SSH server?"
	hintDenied      = "check transport.user and its key or password; keys of administrators belong into %ProgramData%\\ssh\\administrators_authorized_keys"
)

func (c Config) withDefaults() Config {
	if c.Host == "" {
		c.Host = c.Address
	}
	if c.Port == 0 {
		c.Port = defaultPort
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = defaultDial
	}
	if c.Silence == 0 {
		c.Silence = defaultSilence
	}
	if c.connect == nil {
		c.connect = new(net.Dialer).DialContext
	}
	return c
}

func (c Config) address() string { return net.JoinHostPort(c.Address, strconv.Itoa(c.Port)) }

func (c Config) fail(kind transport.Kind, phase, hint string, err error) error {
	return &transport.Error{Kind: kind, Host: c.Host, Phase: phase, Hint: hint, Err: err}
}

// Dial connects, verifies the host's key and logs on. Commands run in the
// account's login shell, which is cmd.exe unless the host says otherwise.
func Dial(ctx context.Context, cfg Config) (transport.Conn, error) {
	cfg = cfg.withDefaults()
	first, err := cfg.open(ctx)
	if err != nil {
		return nil, err
	}
	life, cancel := context.WithCancelCause(context.Background())
	return &conn{cfg: cfg, idle: []*link{first}, life: life, cancel: cancel}, nil
}

// open makes one connection.
func (c Config) open(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.DialTimeout, errors.New("no answer within "+c.DialTimeout.String()))
	defer cancel()
	auth, free, err := c.auth(ctx)
	if err != nil {
		return nil, c.fail(transport.Denied, "authenticate", "", err)
	}
	defer free()
	check, algorithms, err := c.hostKeys()
	if err != nil {
		return nil, c.fail(transport.Certificate, "dial", hintKnownHosts, err)
	}
	tcp, err := c.connect(ctx, "tcp", c.address())
	if err != nil {
		return nil, c.fail(transport.Unreachable, "dial", hintUnreachable, because(ctx, err))
	}
	raw := &wire{tcp, make(chan struct{}, 1)}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	sc, channels, requests, err := ssh.NewClientConn(raw, c.address(), &ssh.ClientConfig{
		User: c.User, Auth: auth, HostKeyCallback: check, HostKeyAlgorithms: algorithms, ClientVersion: "SSH-2.0-shipper",
	})
	if !stop() && err == nil {
		sc.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		return nil, c.refused(because(ctx, err))
	}
	return newLink(c, raw, ssh.NewClient(sc, channels, requests)), nil
}

// because prefers why a context ended to what that broke.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// refused sorts why a handshake failed.
func (c Config) refused(err error) error {
	var key *keyError
	var auth *ssh.ServerAuthError
	switch {
	case errors.As(err, &key):
		return c.fail(transport.Certificate, "dial", key.hint, key)
	case errors.As(err, &auth) || isAuthFailure(err):
		return c.fail(transport.Denied, "authenticate", hintDenied, err)
	}
	return c.fail(transport.Unreachable, "dial", hintNotSSH, err)
}

// conn gives each program a connection of its own while it runs: the end of
// a connection is what surely ends a program there, with all that it started.
type conn struct {
	cfg    Config
	life   context.Context // until Close
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	idle    []*link
	running sync.WaitGroup
}

var errClosed = errors.New("the connection was closed")

// take gives a connection on which nothing runs; give or drop must follow.
func (c *conn) take(ctx context.Context) (*link, error) {
	c.mu.Lock()
	if c.life.Err() != nil {
		c.mu.Unlock()
		return nil, c.cfg.fail(transport.Gone, "command", "", context.Cause(c.life))
	}
	c.running.Add(1)
	for n := len(c.idle); n > 0; n = len(c.idle) {
		l := c.idle[n-1]
		c.idle = c.idle[:n-1]
		if l.life.Err() == nil {
			c.mu.Unlock()
			return l, nil
		}
	}
	c.mu.Unlock()
	ctx, cancel := c.alive(ctx)
	defer cancel()
	l, err := c.cfg.open(ctx)
	if err != nil {
		c.running.Done()
	}
	return l, err
}

// alive gives a context that ends with the connection, too.
func (c *conn) alive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(context.Cause(c.life)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// give keeps a connection for the next program.
func (c *conn) give(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, l)
	c.running.Done()
}

// drop ends a connection, because it broke or to end what runs there.
func (c *conn) drop(l *link) {
	l.end(errClosed)
	c.running.Done()
}

// Close ends what runs, each program with its tree.
func (c *conn) Close() error {
	c.mu.Lock()
	c.cancel(errClosed)
	c.mu.Unlock()
	c.running.Wait()
	for _, l := range c.idle {
		l.end(errClosed)
	}
	c.idle = nil
	return nil
}
