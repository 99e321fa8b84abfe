package shelf

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
)

// web is a folder on a web server. What it holds stands in checksums.txt, as
// sha256sum writes it; a web server alone lists nothing that all read alike.
type web struct {
	client *http.Client
	base   *url.URL
	token  string
}

func openWeb(client *http.Client, b config.Bundles) (packaging.Shelf, error) {
	base, err := url.Parse(b.URL)
	if err == nil {
		err = secure(base)
	}
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "read bundles.url", "write https://host/folder/")
	}
	if !strings.HasSuffix(base.Path, "/") {
		base.Path += "/"
	}
	token, err := secret("token", b.Token)
	return &web{client, base, token}, err
}

func (w *web) List(ctx context.Context, service string) ([]packaging.Listed, error) {
	req, err := w.get(ctx, "checksums.txt")
	if err != nil {
		return nil, err
	}
	res, err := do(w.client, req, message)
	if err != nil {
		return nil, failed(err, "read checksums.txt at "+w.base.Redacted())
	}
	body, err := read(res)
	if err != nil {
		return nil, failed(err, "read checksums.txt at "+w.base.Redacted())
	}
	var all []packaging.Listed
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		_, name, _ := strings.Cut(lines.Text(), " ")
		if l, ok := packaging.ParseName(service, strings.TrimLeft(name, " *")); ok {
			all = append(all, l)
		}
	}
	return all, nil
}

func (w *web) Open(ctx context.Context, l packaging.Listed) (*packaging.Bundle, error) {
	req, err := w.get(ctx, l.Name)
	if err != nil {
		return nil, err
	}
	b, err := fetch(ctx, w.client, req, message)
	return b, failed(err, "fetch "+l.Name+" from "+w.base.Redacted())
}

func (w *web) get(ctx context.Context, name string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base.JoinPath(name).String(), nil)
	if err != nil {
		return nil, err
	}
	bearer(req, w.token)
	return req, nil
}
