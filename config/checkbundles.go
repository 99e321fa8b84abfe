package config

import (
	"net"
	"net/url"
	"regexp"
	"strings"
)

var (
	repositoryRule = regexp.MustCompile(`^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$`)
	bucketRule     = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
)

// bundles looks at where bundles are kept; nothing is asked there.
func (c *checker) bundles() {
	b := c.t.Bundles
	kinds := 0
	for _, is := range []bool{b.Folder != "", b.URL != "", b.GitHub != nil, b.S3 != nil} {
		if is {
			kinds++
		}
	}
	if kinds > 1 {
		c.problem("bundles", "keep one of them", "`bundles`: at most one of folder, url, github, s3")
	}
	c.address("bundles.url", b.URL, "https://artifacts.example.com/orders/")
	if b.Token != "" && b.URL == "" {
		c.problem("bundles.token", "remove it, or add url", "`bundles.token` belongs to url")
	}
	if b.Pull && !strings.HasPrefix(b.URL, "https://") {
		c.problem("bundles.pull", "add url: https://artifacts.example.com/orders/", "`bundles.pull`: hosts fetch over https from url only")
	}
	if g := b.GitHub; g != nil {
		c.address("bundles.github.api", g.API, "https://github.example.com/api/v3")
		if !repositoryRule.MatchString(g.Repository) {
			c.problem("bundles.github.repository", "write owner/name", "`bundles.github.repository`: %q is no repository", shorten(g.Repository))
		}
	}
	if s := b.S3; s != nil {
		c.s3(*s)
	}
	for _, ref := range b.refs() {
		if *ref.value != "" {
			c.reference("bundles."+ref.key, *ref.value)
		}
	}
}

func (c *checker) s3(s S3) {
	c.address("bundles.s3.endpoint", s.Endpoint, "https://minio.example.com")
	if !bucketRule.MatchString(s.Bucket) {
		c.problem("bundles.s3.bucket", "write the bucket's name only", "`bundles.s3.bucket`: %q is no name of a bucket", shorten(s.Bucket))
	}
	if s.AccessKey == "" || s.SecretKey == "" {
		c.problem("bundles.s3", "add accessKey: ${env:AWS_ACCESS_KEY_ID} and secretKey: ${env:AWS_SECRET_ACCESS_KEY}", "`bundles.s3`: accessKey or secretKey is missing")
	}
	if strings.HasPrefix(s.Prefix, "/") {
		c.problem("bundles.s3.prefix", "write orders/", "`bundles.s3.prefix`: it must not begin with a slash")
	}
}

// address wants a URL without credentials: those are references.
func (c *checker) address(path, value, example string) {
	u, err := url.Parse(value)
	switch {
	case value == "":
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		c.problem(path, "write "+example, "`%s`: this is no https address", path)
	case u.Scheme == "http" && !local(u.Hostname()):
		c.problem(path, "write https://", "`%s`: plain http would show what is fetched, and the credentials", path)
	case u.User != nil || u.RawQuery != "":
		c.problem(path, "remove them; secrets are references", "`%s`: credentials and queries do not belong into an address", path)
	}
}

// local is this very machine.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

type refAt struct {
	key   string
	value *string
}

// refs are the references in b, by their keys.
func (b *Bundles) refs() []refAt {
	refs := []refAt{{"token", &b.Token}}
	if b.GitHub != nil {
		refs = append(refs, refAt{"github.token", &b.GitHub.Token})
	}
	if s := b.S3; s != nil {
		refs = append(refs, refAt{"s3.accessKey", &s.AccessKey}, refAt{"s3.secretKey", &s.SecretKey}, refAt{"s3.sessionToken", &s.SessionToken})
	}
	return refs
}
