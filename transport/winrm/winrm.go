// Package winrm reaches Windows hosts over WS-Management: HTTP with NTLM
// message encryption (port 5985) or HTTPS (port 5986). The message headers
// are built by masterzen/winrm/soap; connections, authentication, faults and
// the command loop are this package's own, because each must end in time and
// tell the truth: every exchange has a deadline, every fault is an error.
package winrm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/go-shipper/shipper/transport"
)

// Values of Config.Auth.
const (
	AuthNTLM  = "ntlm"
	AuthBasic = "basic" // over HTTPS only
)

// Config says how to reach a host. Zero values mean the defaults.
type Config struct {
	Host     string // name in errors; default Address
	Address  string // DNS name or IP address; the name in the certificate
	Port     int    // default 5985, with HTTPS 5986
	HTTPS    bool
	Auth     string // AuthNTLM (default) or AuthBasic
	User     string // user, DOMAIN\user or user@domain
	Password string

	CAFile   string         // PEM file of authorities to trust instead of the system's
	RootCAs  *x509.CertPool // the same, already loaded
	Insecure bool           // accept any certificate

	DialTimeout      time.Duration // connect, handshakes; default 10 s
	OperationTimeout time.Duration // long poll of the host; default 20 s, at most 60 s
	Grace            time.Duration // for an answer beyond OperationTimeout; default 10 s
	Liveness         time.Duration // until a host that answers nothing is lost; default 60 s
	RetryDelay       time.Duration // before the first retry, doubled for each next; default 500 ms
	Retries          int           // of an exchange that failed before it was acted on; default 3
	MaxConns         int           // connections to the host; default 8, at least 2
}

// Dial connects and logs on. Errors are *transport.Error, with a hint where
// the user can mend it. The password is tried at most twice.
func Dial(ctx context.Context, cfg Config) (transport.Conn, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := cfg.loadCA(); err != nil {
		return nil, err
	}
	c := newClient(cfg)
	if err := c.open(ctx); err != nil {
		c.close()
		return nil, err
	}
	return newConn(c), nil
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&c.DialTimeout, 10*time.Second)
	set(&c.OperationTimeout, 20*time.Second)
	set(&c.Grace, 10*time.Second)
	set(&c.Liveness, 60*time.Second)
	set(&c.RetryDelay, 500*time.Millisecond)
	c.OperationTimeout = min(c.OperationTimeout, 60*time.Second)
	if c.Host == "" {
		c.Host = c.Address
	}
	if c.Port == 0 {
		c.Port = 5985
		if c.HTTPS {
			c.Port = 5986
		}
	}
	if c.Auth == "" {
		c.Auth = AuthNTLM
	}
	if c.Retries <= 0 {
		c.Retries = 3
	}
	if c.MaxConns < 2 {
		c.MaxConns = 8
	}
	return c
}

func (c Config) check() error {
	fail := func(kind transport.Kind, hint, why string) error {
		return &transport.Error{Kind: kind, Host: c.Host, Phase: "authenticate", Hint: hint, Err: errors.New(why)}
	}
	switch {
	case c.Address == "":
		return &transport.Error{Kind: transport.Unreachable, Host: c.Host, Phase: "dial", Err: errors.New("no address")}
	case c.Auth != AuthNTLM && c.Auth != AuthBasic:
		return fail(transport.Denied, "set transport.auth to ntlm or basic", fmt.Sprintf("unknown authentication %q", c.Auth))
	case c.Auth == AuthBasic && !c.HTTPS:
		return fail(transport.Denied, hintPlainBasic, "Basic without HTTPS")
	case c.User == "":
		return fail(transport.Denied, "set transport.user and transport.password", "no user")
	}
	return nil
}

func (c *Config) loadCA() error {
	if c.CAFile == "" {
		return nil
	}
	fail := func(err error) error {
		return &transport.Error{Kind: transport.Certificate, Host: c.Host, Phase: "dial", Hint: hintCA, Err: err}
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return fail(fmt.Errorf("read authorities: %w", err))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fail(fmt.Errorf("read authorities: no PEM certificate in %s", c.CAFile))
	}
	c.RootCAs = pool
	return nil
}

func (c Config) hostport() string { return net.JoinHostPort(c.Address, strconv.Itoa(c.Port)) }

func (c Config) url() string {
	scheme := "http"
	if c.HTTPS {
		scheme = "https"
	}
	return scheme + "://" + c.hostport() + "/wsman"
}

func (c Config) tls() *tls.Config {
	return &tls.Config{ServerName: c.Address, RootCAs: c.RootCAs, InsecureSkipVerify: c.Insecure, MinVersion: tls.VersionTLS12}
}
