// Package fetch asks a web service one question: bounded in time and size,
// without redirects, so that a secret goes nowhere else.
package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// maxBody bounds an answer, in bytes.
const maxBody = 1 << 20

// maxExcerpt bounds what is repeated of an answer, in bytes.
const maxExcerpt = 200

// Options say how to ask. Header, User and Password may be secrets: errors
// never repeat them.
type Options struct {
	Header         map[string]string
	User, Password string
	CA             string // file with certificates to trust; empty: the system's
	Timeout        time.Duration
}

// Reply is a whole answer.
type Reply struct {
	Status int
	Body   []byte
}

// Client asks one service.
type Client struct {
	opts Options
	http *http.Client
}

// New reads the certificates.
func New(o Options) (*Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read certificates: %s has none", o.CA)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return &Client{opts: o, http: &http.Client{
		Transport: transport, Timeout: o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Get asks for address.
func (c *Client) Get(ctx context.Context, address string) (Reply, error) {
	return c.do(ctx, http.MethodGet, address, nil)
}

// Post sends JSON to address.
func (c *Client) Post(ctx context.Context, address string, json []byte) (Reply, error) {
	return c.do(ctx, http.MethodPost, address, json)
}

func (c *Client) do(ctx context.Context, method, address string, json []byte) (Reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(json))
	if err != nil {
		return Reply{}, errors.New("the address can not be read") // it may hold what is secret
	}
	if json != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range c.opts.Header {
		req.Header.Set(name, value)
	}
	if c.opts.User != "" || c.opts.Password != "" {
		req.SetBasicAuth(c.opts.User, c.opts.Password)
	}
	res, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // its text would repeat the query
		}
		return Reply{}, fmt.Errorf("ask %s: %w", req.URL.Host, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return Reply{}, fmt.Errorf("read the answer of %s: %w", req.URL.Host, err)
	case len(body) > maxBody:
		return Reply{}, fmt.Errorf("the answer of %s is larger than %d bytes", req.URL.Host, maxBody)
	}
	return Reply{res.StatusCode, body}, nil
}

// Unwanted is the error for a status that is no answer.
func (r Reply) Unwanted() error {
	text := strings.TrimSpace(strings.ToValidUTF8(string(r.Body[:min(len(r.Body), maxExcerpt)]), ""))
	if text != "" {
		text = ": " + text
	}
	return fmt.Errorf("status %d%s", r.Status, text)
}
