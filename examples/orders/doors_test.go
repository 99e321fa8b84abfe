package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// authority makes certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err1 := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	cert, err2 := x509.ParseCertificate(der)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

// issue puts a certificate for this machine and its key in their files.
func (a authority) issue(t *testing.T, serial int64, cert, key string) {
	t.Helper()
	own := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err1 := x509.CreateCertificate(rand.Reader, template, a.cert, own.Public(), a.key)
	private, err2 := x509.MarshalPKCS8PrivateKey(own)
	err := errors.Join(err1, err2,
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
}

// The program serves TLS with a certificate of an authority, and the renewed
// one to new connections without a restart.
func TestServesTLS(t *testing.T) {
	t.Parallel()
	ca, dir := newAuthority(t), t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca.issue(t, 2, cert, key)
	_, url := start(t, "ORDERS_CERT="+cert, "ORDERS_KEY="+key)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true, ForceAttemptHTTP2: true}}
	serial := func() int64 {
		resp, err := client.Get("https" + strings.TrimPrefix(url, "http") + "/version")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
			t.Errorf("%s %s", resp.Proto, resp.Status)
		}
		return resp.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 2 {
		t.Errorf("serves certificate %d", got)
	}
	if resp, _ := call(t, "GET", url+"/version", ""); resp.StatusCode != 400 {
		t.Errorf("answers %d without TLS", resp.StatusCode)
	}
	if _, err := http.Get("https" + strings.TrimPrefix(url, "http")); err == nil {
		t.Error("a client that does not know the authority was content")
	}
	ca.issue(t, 3, cert, key)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(time.Minute); serial() != 3; <-tick.C {
		if time.Now().After(until) {
			t.Fatal("the renewed certificate is not served")
		}
	}
}

// issuer serves its keys and signs tokens.
type issuer struct {
	t   *testing.T
	key *ecdsa.PrivateKey
	*httptest.Server
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t, key: newKey(t)}
	point, err := i.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		t.Fatal(err)
	}
	number := base64.RawURLEncoding.EncodeToString
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","kid":"k1","crv":"P-256","alg":"ES256","use":"sig","x":"%s","y":"%s"}]}`, number(point[1:33]), number(point[33:]))
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) token(audience string, expires time.Time, roles ...string) string {
	i.t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": i.URL, "aud": audience, "sub": "alice", "iat": time.Now().Unix(),
		"exp": expires.Unix(), "roles": roles})
	token.Header["kid"] = "k1"
	signed, err := token.SignedString(i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	return signed
}

// The program takes orders of those who have a token with the role, and of
// nobody else; its probes ask for none.
func TestAsksForTokens(t *testing.T) {
	t.Parallel()
	id, soon := newIssuer(t), time.Now().Add(time.Hour)
	_, url := start(t, "ORDERS_ISSUER="+id.URL)
	stranger := newIssuer(t)
	stranger.URL = id.URL // says so
	for name, tt := range map[string]struct {
		token string
		want  int
	}{
		"none":               {"", 401},
		"no token at all":    {"x.y.z", 401},
		"with the role":      {id.token("orders", soon, "reader", "orders"), 200},
		"without it":         {id.token("orders", soon, "reader"), 403},
		"for somebody else":  {id.token("billing", soon, "orders"), 401},
		"of yesterday":       {id.token("orders", time.Now().Add(-24*time.Hour), "orders"), 401},
		"of another's hands": {stranger.token("orders", soon, "orders"), 401},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/orders", nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.token != "" {
			req.Header.Set("Authorization", "Bearer "+tt.token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, tt.want)
		}
	}
	if resp, _ := call(t, "GET", url+"/readyz", ""); resp.StatusCode != 200 {
		t.Errorf("ready: %d", resp.StatusCode)
	}
}
