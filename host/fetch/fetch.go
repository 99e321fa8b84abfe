// Package fetch reads parts of a file that a web server has: over TLS only,
// bounded in time and in what is read, with a token that stays in memory.
// What it returns is not verified: that is for those who know the digests.
package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	maxRedirects = 5
	headerWait   = 30 * time.Second
	stallWait    = time.Minute // without a byte
)

// Source is one file on a web server.
type Source struct {
	url    *url.URL
	token  string
	client *http.Client
}

// New checks the address; ca is a PEM text, empty for the machine's own
// authorities.
func New(address, token string, ca []byte) (*Source, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("this is no address without credentials")
	}
	if err := secure(u); err != nil {
		return nil, err
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = headerWait
	t.DisableCompression = true // offsets count the bytes that lie there
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) > 0 {
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("there is no certificate in what was given as CA")
		}
	}
	return &Source{u, token, &http.Client{Transport: t, CheckRedirect: redirect}}, nil
}

// Close frees connections.
func (s *Source) Close() { s.client.CloseIdleConnections() }

// redirect follows a few, and none into the clear; a token does not go along
// to another site.
func redirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return secure(req.URL)
}

func secure(u *url.URL) error {
	if u.Scheme != "https" {
		return fmt.Errorf("%s is not https", u.Host)
	}
	return nil
}

// Part opens length bytes from offset on. A server that knows no ranges sends
// all, and what comes before is skipped.
func (s *Source) Part(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	if offset < 0 || length <= 0 {
		return nil, fmt.Errorf("%d bytes from %d on", length, offset)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	p := &part{ctx: ctx, cancel: cancel}
	p.watch = time.AfterFunc(stallWait, func() { cancel(fmt.Errorf("no byte came for %s", stallWait)) })
	err := s.ask(ctx, p, offset, length)
	if err != nil {
		p.Close()
		return nil, p.cause(err)
	}
	return p, nil
}

func (s *Source) ask(ctx context.Context, p *part, offset, length int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String(), nil)
	if err != nil {
		return err
	}
	want := fmt.Sprintf("bytes %d-%d/", offset, offset+length-1)
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	req.Header.Set("User-Agent", "shipper")
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return plain(err)
	}
	p.body = res.Body
	switch got := res.Header.Get("Content-Range"); {
	case res.StatusCode == http.StatusPartialContent && len(got) > len(want) && got[:len(want)] == want:
	case res.StatusCode == http.StatusPartialContent:
		return errors.New("the server sent another part than it was asked for")
	case res.StatusCode == http.StatusOK:
		if _, err := io.CopyN(io.Discard, p.counted(offset), offset); err != nil {
			return fmt.Errorf("skip to byte %d: %w", offset, err)
		}
	default:
		return fmt.Errorf("status %d %s", res.StatusCode, http.StatusText(res.StatusCode))
	}
	p.rest = p.counted(length)
	return nil
}

// plain takes the address out of an error: a redirect's may carry a signature.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// part is a body that ends when nothing more comes.
type part struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	watch  *time.Timer
	body   io.ReadCloser
	rest   io.Reader
}

func (p *part) counted(n int64) io.Reader { return io.LimitReader(ticking{p}, n) }

func (p *part) Read(b []byte) (int, error) { return p.rest.Read(b) }

func (p *part) Close() error {
	p.watch.Stop()
	p.cancel(nil)
	if p.body == nil {
		return nil
	}
	return p.body.Close()
}

// cause is why the context ended, where that is what broke a read.
func (p *part) cause(err error) error {
	if why := context.Cause(p.ctx); err != nil && err != io.EOF && why != nil && why != context.Canceled {
		return why
	}
	return err
}

type ticking struct{ p *part }

func (t ticking) Read(b []byte) (int, error) {
	n, err := t.p.body.Read(b)
	t.p.watch.Reset(stallWait)
	return n, t.p.cause(err)
}
