// Package certs serves TLS with a certificate that is renewed on the disk: a
// new one is taken without a restart, a bad one is refused and the old kept.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/go-shipper/shipper/service/reload"
)

// Options of Certs. Cert and Key are needed.
type Options struct {
	Cert, Key string // PEM files, the chain in Cert; needed
	// ClientCA is a PEM file of authorities; with it clients must have a
	// certificate of one of them. Empty: clients need none.
	ClientCA string
	// Log is told of renewals and refusals; nil is slog.Default().
	Log *slog.Logger
	// Quiet and Poll are reload.Options': 0 is 200 ms and 30 s.
	Quiet, Poll time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Certs is a certificate that follows its files while it is a part of a service
// (service.WithPart), and at Reload. Safe for concurrent use.
type Certs struct {
	*reload.File[*tls.Config]
}

// Open reads the files, which must be good: a pair, and valid today.
func Open(o Options) (*Certs, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	also := []string{o.Key}
	if o.ClientCA != "" {
		also = append(also, o.ClientCA)
	}
	f, err := reload.Open(o.Cert, reload.Options[*tls.Config]{Decode: o.config, Also: also, Log: o.Log, Quiet: o.Quiet, Poll: o.Poll})
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &Certs{f}, nil
}

// Config is for a server: TLS 1.2 and up, HTTP/2. Each handshake has the
// certificate that is in force then.
func (c *Certs) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.Get(), nil },
		GetCertificate:     func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.Get().Certificates[0], nil }} // not asked, but looked for
}

// Expires is when the certificate in force ends.
func (c *Certs) Expires() time.Time { return c.Get().Certificates[0].Leaf.NotAfter }

// CheckFor is a health check that fails when the certificate ends within d.
func (c *Certs) CheckFor(d time.Duration) func(context.Context) error {
	return func(context.Context) error {
		if ends := c.Expires(); time.Until(ends) < d {
			return fmt.Errorf("the certificate ends on %s", ends.Format(time.DateTime))
		}
		return nil
	}
}

func (o Options) config(chain []byte) (*tls.Config, error) {
	key, err := os.ReadFile(o.Key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	if now := o.Now(); now.After(pair.Leaf.NotAfter) || now.Before(pair.Leaf.NotBefore) {
		return nil, fmt.Errorf("valid from %s to %s only", pair.Leaf.NotBefore.Format(time.DateTime), pair.Leaf.NotAfter.Format(time.DateTime))
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{pair}}
	if o.ClientCA == "" {
		return c, nil
	}
	authorities, err := os.ReadFile(o.ClientCA)
	if err != nil {
		return nil, err
	}
	c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(authorities) {
		return nil, errors.New("no authority in " + o.ClientCA)
	}
	return c, nil
}
