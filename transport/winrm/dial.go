package winrm

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// dial opens the TCP connection. Proxies are asked only where the
// configuration says so, and always for a tunnel: a logon holds for a
// connection, which a proxy must not share out.
func (c Config) dial(ctx context.Context) (net.Conn, error) {
	proxy, err := c.proxy()
	if err != nil {
		return nil, &proxyError{err: err}
	}
	if proxy == nil {
		return c.connect(ctx, "tcp", c.hostport())
	}
	conn, err := c.connect(ctx, "tcp", proxyAddress(proxy))
	if err != nil {
		return nil, &proxyError{proxy.Host, err}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	if err := c.tunnel(conn, proxy); err != nil {
		conn.Close()
		return nil, &proxyError{proxy.Host, err}
	}
	if !stop() {
		conn.Close()
		return nil, context.Cause(ctx)
	}
	return conn, nil
}

func (c Config) proxy() (*url.URL, error) {
	if c.Proxy == nil {
		return nil, nil
	}
	target, err := url.Parse(c.url())
	if err != nil {
		return nil, err
	}
	proxy, err := c.Proxy(target)
	if err == nil && proxy != nil && (proxy.Scheme != "http" || proxy.Host == "") {
		return nil, fmt.Errorf("%s is no HTTP proxy", proxy.Redacted())
	}
	return proxy, err
}

func proxyAddress(proxy *url.URL) string {
	if proxy.Port() != "" {
		return proxy.Host
	}
	return net.JoinHostPort(proxy.Hostname(), "80")
}

// proxyError is a failure on this side of the proxy, or its refusal.
type proxyError struct {
	host string
	err  error
}

func (e *proxyError) Error() string { return fmt.Sprintf("proxy %s: %v", e.host, e.err) }
func (e *proxyError) Unwrap() error { return e.err }

// tunnel asks the proxy to connect us with the host.
func (c Config) tunnel(conn net.Conn, proxy *url.URL) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: c.hostport()}, Host: c.hostport(), Header: http.Header{"User-Agent": {"shipper"}}}
	if u := proxy.User; u != nil {
		password, _ := u.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return err
	}
	r := bufio.NewReader(io.LimitReader(conn, 64<<10))
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered CONNECT %s with status %d", c.hostport(), resp.StatusCode)
	}
	if r.Buffered() > 0 {
		return errors.New("it speaks before the host does")
	}
	return nil
}

func (c Config) tls() *tls.Config {
	t := &tls.Config{ServerName: c.Address, RootCAs: c.RootCAs, InsecureSkipVerify: c.Insecure, MinVersion: tls.VersionTLS12}
	if c.Fingerprint != "" {
		t.InsecureSkipVerify = c.RootCAs == nil // the pin is enough
		t.VerifyConnection = c.pinned
	}
	if c.certificate != nil {
		// Windows asks for the certificate after it has read the request. TLS
		// 1.3 has another way to do so, which Go does not know.
		t.Certificates, t.MaxVersion, t.Renegotiation = []tls.Certificate{*c.certificate}, tls.VersionTLS12, tls.RenegotiateOnceAsClient
	}
	return t
}

// pinned accepts the one certificate whose fingerprint is configured.
func (c Config) pinned(s tls.ConnectionState) error {
	if seen := fingerprint(s.PeerCertificates[0]); !strings.EqualFold(seen, c.Fingerprint) {
		return &pinError{seen}
	}
	return nil
}

// pinError is a certificate that is not the pinned one.
type pinError struct{ seen string }

func (e *pinError) Error() string { return "the host's certificate has the fingerprint " + e.seen }

const fingerprintPrefix = "sha256:"

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return fingerprintPrefix + hex.EncodeToString(sum[:])
}
