package shelf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
)

// bucket is an S3 bucket, or a part of one. Addresses are of the path style,
// which every store that speaks S3 takes.
type bucket struct {
	client *http.Client
	base   *url.URL // endpoint/bucket
	prefix string
	keys   keys
	now    func() time.Time
}

func openS3(client *http.Client, c config.S3) (packaging.Shelf, error) {
	endpoint := c.Endpoint
	if endpoint == "" {
		endpoint = "https://s3." + c.Region + ".amazonaws.com"
	}
	base, err := url.Parse(endpoint)
	if err == nil {
		err = secure(base)
	}
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "read bundles.s3.endpoint", "write https://host")
	}
	b := &bucket{client: client, base: base.JoinPath(c.Bucket), prefix: c.Prefix, keys: keys{region: c.Region}, now: time.Now}
	for _, s := range []struct {
		key, ref string
		to       *string
	}{{"s3.accessKey", c.AccessKey, &b.keys.access}, {"s3.secretKey", c.SecretKey, &b.keys.secret}, {"s3.sessionToken", c.SessionToken, &b.keys.session}} {
		if *s.to, err = secret(s.key, s.ref); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// listing is a page of ListObjectsV2.
type listing struct {
	Contents []struct{ Key string }
	Next     string `xml:"NextContinuationToken"`
	More     bool   `xml:"IsTruncated"`
}

const maxPages = 100

func (b *bucket) List(ctx context.Context, service string) ([]packaging.Listed, error) {
	var all []packaging.Listed
	next := ""
	for range maxPages {
		page, err := b.page(ctx, service, next)
		if err != nil {
			return nil, failed(err, "list bucket "+b.base.Redacted())
		}
		for _, o := range page.Contents {
			if l, ok := packaging.ParseName(service, strings.TrimPrefix(o.Key, b.prefix)); ok {
				all = append(all, l)
			}
		}
		if next = page.Next; !page.More || next == "" {
			return all, nil
		}
	}
	return nil, problem.New(problem.Failed, "give the bundles of each service a prefix, and remove old ones",
		"list bucket %s: more than %d pages", b.base.Redacted(), maxPages)
}

func (b *bucket) page(ctx context.Context, service, next string) (page listing, err error) {
	q := url.Values{"list-type": {"2"}, "prefix": {b.prefix + service + "-"}}
	if next != "" {
		q.Set("continuation-token", next)
	}
	u := *b.base
	u.RawQuery = canonicalQuery(q)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return page, err
	}
	b.keys.sign(req, emptyHash, b.now())
	res, err := do(b.client, req, saidInXML)
	if err != nil {
		return page, err
	}
	body, err := read(res)
	if err != nil {
		return page, err
	}
	return page, xml.Unmarshal(body, &page)
}

func (b *bucket) Open(ctx context.Context, l packaging.Listed) (*packaging.Bundle, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.object(l.Name), nil)
	if err != nil {
		return nil, err
	}
	b.keys.sign(req, emptyHash, b.now())
	bundle, err := fetch(ctx, b.client, req, saidInXML)
	return bundle, failed(err, "fetch "+l.Name+" from bucket "+b.base.Redacted())
}

func (b *bucket) object(name string) string {
	u := *b.base
	u.Path += "/" + b.prefix + name
	u.RawPath = escaped(u.Path, true)
	return u.String()
}

// Put says that nothing may be there yet: where two push at once, the store
// decides who was first.
func (b *bucket) Put(ctx context.Context, m *packaging.Bundle, path string) error {
	name := packaging.FileName(m.Manifest.Name, m.Release())
	f, err := os.Open(path)
	if err != nil {
		return problem.Wrap(problem.Failed, err, "push "+name, "")
	}
	defer f.Close()
	err = b.put(ctx, f, name)
	if isStatus(err, http.StatusPreconditionFailed) {
		return nil
	}
	return failed(err, "push "+name+" to bucket "+b.base.Redacted())
}

func (b *bucket) put(ctx context.Context, f *os.File, name string) error {
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, b.object(name), io.NopCloser(f))
	if err != nil {
		return err
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", "application/zip")
	req.Header.Set("If-None-Match", "*")
	b.keys.sign(req, hex.EncodeToString(h.Sum(nil)), b.now())
	res, err := do(b.client, req, saidInXML)
	if err != nil {
		return err
	}
	_, err = read(res)
	return err
}

// saidInXML reads the words of an S3 error.
func saidInXML(body []byte) string {
	var e struct{ Code, Message string }
	if xml.Unmarshal(body, &e) != nil || len(e.Code)+len(e.Message) > 300 {
		return ""
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}
