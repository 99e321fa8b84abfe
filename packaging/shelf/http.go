package shelf

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
)

const (
	maxAnswer    = 8 << 20 // bytes of a listing
	maxBundle    = 2<<30 + 16<<20
	maxRedirects = 5
	headerWait   = 30 * time.Second
	stallWait    = time.Minute // without a byte
)

// newClient verifies certificates, against a CA of one's own where one is
// named, and follows few redirects, none of them into the clear.
func newClient(ca string) (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = headerWait
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, problem.Wrap(problem.Usage, err, "read bundles.ca", "")
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, problem.New(problem.Usage, "name a PEM file", "bundles.ca: no certificate in %s", ca)
		}
	}
	return &http.Client{Transport: t, CheckRedirect: redirect}, nil
}

func redirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return secure(req.URL)
}

// secure allows TLS, and plain HTTP to this very machine.
func secure(u *url.URL) error {
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("%s://%s is not https", u.Scheme, u.Host)
}

// answer is what a server said when it was not what was asked for.
type answer struct {
	status int
	text   string // its own words, bounded
}

func (e *answer) Error() string {
	if e.text == "" {
		return fmt.Sprintf("status %d %s", e.status, http.StatusText(e.status))
	}
	return fmt.Sprintf("status %d: %s", e.status, e.text)
}

func isStatus(err error, status int) bool {
	var a *answer
	return errors.As(err, &a) && a.status == status
}

// do sends req and wants one of 2xx; explain finds the words in an error's body.
func do(c *http.Client, req *http.Request, explain func([]byte) string) (*http.Response, error) {
	if err := secure(req.URL); err != nil {
		return nil, err
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, plain(err)
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // the status says enough
	return nil, &answer{res.StatusCode, explain(body)}
}

// plain takes the address out of an error: it may carry a signature.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// read is the whole of a small answer.
func read(res *http.Response) ([]byte, error) {
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	return body, err
}

// fetch brings a bundle here and opens it; the file goes with its closing.
func fetch(ctx context.Context, c *http.Client, req *http.Request, explain func([]byte) string) (*packaging.Bundle, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	res, err := do(c, req.WithContext(ctx), explain)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.ContentLength > maxBundle {
		return nil, fmt.Errorf("%d bytes are no bundle", res.ContentLength)
	}
	tmp, err := os.CreateTemp("", "shipper-bundle-*.zip")
	if err != nil {
		return nil, err
	}
	stalled := time.AfterFunc(stallWait, func() { cancel(fmt.Errorf("no byte came for %s", stallWait)) })
	defer stalled.Stop()
	n, err := io.Copy(tmp, io.LimitReader(&ticking{res.Body, func() { stalled.Reset(stallWait) }}, maxBundle+1))
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	if err == nil && n > maxBundle {
		err = fmt.Errorf("more than %d bytes are no bundle", int64(maxBundle))
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(tmp.Name()))
	}
	return packaging.OpenTemporary(tmp.Name())
}

type ticking struct {
	r    io.Reader
	tick func()
}

func (t *ticking) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.tick()
	return n, err
}

// failed gives what a shelf said a kind and a hint.
func failed(err error, what string) error {
	var p *problem.Error
	if err == nil || errors.As(err, &p) {
		return err
	}
	hint := "check `bundles` in shipper.yaml, and that it can be reached from here"
	if isStatus(err, http.StatusUnauthorized) || isStatus(err, http.StatusForbidden) {
		hint = "check the credentials that `bundles` refers to, and what they may do"
	}
	return problem.Wrap(problem.Failed, err, what, hint)
}

// message reads the words of an error in JSON.
func message(body []byte) string {
	var e struct{ Message string }
	if json.Unmarshal(body, &e) != nil || len(e.Message) > 300 {
		return ""
	}
	return e.Message
}
