// Package winrm reaches Windows hosts over WS-Management: HTTP with message
// encryption by Kerberos or NTLM (port 5985), or HTTPS (port 5986). The message headers
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
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/winrm/internal/sspi"
)

// Values of Config.Auth.
const (
	AuthNTLM        = "ntlm"
	AuthKerberos    = "kerberos"
	AuthBasic       = "basic"       // over HTTPS only
	AuthCertificate = "certificate" // over HTTPS only
	AuthSSPI        = "sspi"        // as the user who runs us, on Windows only
)

// Config says how to reach a host. Zero values mean the defaults.
type Config struct {
	Host    string // name in errors; default Address
	Address string // DNS name or IP address; the name in the certificate
	Port    int    // default 5985, with HTTPS 5986
	HTTPS   bool
	Auth    string // default AuthNTLM

	// Credentials gives what each logon is made with; it is asked before every
	// one, so that credentials may change during a run.
	Credentials func(context.Context) (Credentials, error)
	User        string  // user, DOMAIN\user or user@domain, where Credentials is nil
	Password    string  // of User
	Service     string  // of the host in its domain, for Kerberos; default HTTP/Address
	Logons      *Logons // shared by all connections of a run; default: one of its own

	CAFile      string         // PEM file of authorities to trust instead of the system's
	RootCAs     *x509.CertPool // the same, already loaded
	Fingerprint string         // sha256:…, of the host's certificate; without CAFile it is enough
	Insecure    bool           // accept any certificate

	// Proxy finds the HTTP proxy that tunnels to an address; nil: none, and
	// never one that the environment names.
	Proxy func(*url.URL) (*url.URL, error)

	DialTimeout      time.Duration // connect, handshakes; default 10 s
	OperationTimeout time.Duration // long poll of the host; default 20 s, at most 60 s
	Grace            time.Duration // for an answer beyond OperationTimeout; default 10 s
	Liveness         time.Duration // until a host that answers nothing is lost; default 60 s
	RetryDelay       time.Duration // before the first retry, doubled for each next; default 500 ms
	Retries          int           // of an exchange that failed before it was acted on; default 3
	MaxConns         int           // connections to the host; default 8, at least 2

	connect     dialFunc
	certificate *tls.Certificate // of ours, for one connection
	orphanAge   time.Duration
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// Dial connects and logs on. Errors are *transport.Error, with a hint where
// the user can mend it, or those of Credentials. A password is tried at most
// twice.
func Dial(ctx context.Context, cfg Config) (transport.Conn, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := cfg.loadCA(); err != nil {
		return nil, err
	}
	if _, err := cfg.Credentials(ctx); err != nil {
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
	set(&c.orphanAge, orphanAge)
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
	if c.Credentials == nil {
		fixed := Credentials{User: c.User, Password: c.Password}
		c.Credentials = func(context.Context) (Credentials, error) { return fixed, nil }
	}
	if c.Logons == nil {
		c.Logons = &Logons{}
	}
	if c.connect == nil {
		c.connect = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
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
	fail := func(hint, why string) error {
		return &transport.Error{Kind: transport.Denied, Host: c.Host, Phase: "authenticate", Hint: hint, Err: errors.New(why)}
	}
	switch {
	case c.Address == "":
		return &transport.Error{Kind: transport.Unreachable, Host: c.Host, Phase: "dial", Err: errors.New("no address")}
	case !slices.Contains([]string{AuthNTLM, AuthKerberos, AuthBasic, AuthCertificate, AuthSSPI}, c.Auth):
		return fail("set transport.auth to ntlm, kerberos, basic, certificate or sspi", fmt.Sprintf("unknown authentication %q", c.Auth))
	case c.Auth == AuthSSPI && !sspi.Available:
		return fail(hintSSPI, sspi.ErrUnavailable.Error())
	case c.Auth == AuthBasic && !c.HTTPS:
		return fail(hintPlainBasic, "Basic without HTTPS")
	case c.Auth == AuthCertificate && !c.HTTPS:
		return fail(hintPlainCertificate, "a client certificate without HTTPS")
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

// service is the host's name in its domain.
func (c Config) service() string {
	if c.Service != "" {
		return c.Service
	}
	return "HTTP/" + c.Address
}
