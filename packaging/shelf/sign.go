package shelf

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// keys sign requests to a bucket: AWS Signature Version 4, which all stores
// that speak S3 understand.
type keys struct{ access, secret, session, region string }

const (
	signing   = "AWS4-HMAC-SHA256"
	emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// sign adds the headers that prove who asks; hash is the SHA-256 of the body.
// Every header that is set already is signed too.
func (k keys) sign(req *http.Request, hash string, now time.Time) {
	now = now.UTC()
	req.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
	req.Header.Set("X-Amz-Content-Sha256", hash)
	if k.session != "" {
		req.Header.Set("X-Amz-Security-Token", k.session)
	}
	scope := now.Format("20060102") + "/" + k.region + "/s3/aws4_request"
	headers, signed := canonicalHeaders(req)
	canonical := strings.Join([]string{
		req.Method, escaped(req.URL.Path, true), canonicalQuery(req.URL.Query()), headers, signed, hash,
	}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{signing, req.Header.Get("X-Amz-Date"), scope, hex.EncodeToString(sum[:])}, "\n")
	key := []byte("AWS4" + k.secret)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	req.Header.Set("Authorization", signing+" Credential="+k.access+"/"+scope+", SignedHeaders="+signed+", Signature="+hex.EncodeToString(mac(key, text)))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func canonicalHeaders(req *http.Request) (lines, names string) {
	values := map[string]string{"host": req.URL.Host}
	for name, v := range req.Header {
		values[strings.ToLower(name)] = strings.Join(strings.Fields(strings.Join(v, ",")), " ")
	}
	var sorted []string
	for name := range values {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		lines += name + ":" + values[name] + "\n"
	}
	return lines, strings.Join(sorted, ";")
}

func canonicalQuery(q url.Values) string {
	var parts []string
	for name, values := range q {
		for _, v := range values {
			parts = append(parts, escaped(name, false)+"="+escaped(v, false))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "&")
}

// escaped is RFC 3986's escaping with nothing left out, as the signature wants
// it; paths keep their slashes.
func escaped(s string, path bool) string {
	var out strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', strings.IndexByte("-_.~", c) >= 0, path && c == '/':
			out.WriteByte(c)
		default:
			const digits = "0123456789ABCDEF"
			out.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return out.String()
}
