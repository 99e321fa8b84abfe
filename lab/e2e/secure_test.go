//go:build linux

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/project"
)

// TestShopOverTLS is a service with a name, a path and a certificate of its
// own: in a canary, clients who choose get what they chose, and the others
// keep what they were drawn for.
func TestShopOverTLS(t *testing.T) {
	b := theBench(t)
	host := b.lab.Hosts()[0]
	trust := certify(t, filepath.Join(b.lab.Prefix(host.Name), "drive_c", "tls"), "shop.example")
	p := b.projectOn(t, b.lab.Hosts()[:1], project.Config{
		Service: "  ports: {blue: 18990, green: 18991}\n",
		Steps:   "[{setWeight: 50}, {pause: {}}]",
		Traffic: `, hosts: [shop.example], path: /orders, sticky: {cookie: session}, match: {header: X-Canary, cookie: canary}, ` +
			`tls: {certificates: [{cert: 'C:\tls\shop.pem', key: 'C:\tls\shop.key'}]}`,
	})
	deploy(t, p, "1.0.0", "", 0)
	s := shop{t, trust, fmt.Sprintf("%s:%d", host.Address, p.Port())}
	s.wants("1.0.0", "/orders")
	s.wants("", "/order")
	if err := p.Version(t.Context(), "1.1.0", ""); err != nil {
		t.Fatal(err)
	}
	run := start(t, p, "deploy")
	if err := run.Until(weightOf("", 5000)); err != nil {
		t.Fatal(err)
	}
	for range 8 { // by chance they would not all be right
		s.wants("1.1.0", "/orders", "X-Canary", "always")
		s.wants("1.0.0", "/orders", "X-Canary", "never")
		s.wants("1.1.0", "/orders", "Cookie", "canary=always")
		s.wants("1.0.0", "/orders", "Cookie", "canary=never")
	}
	drawn := map[string]int{}
	for i := range 24 {
		session := fmt.Sprintf("session=client-%d", i)
		version := s.ask("/orders", "Cookie", session)
		s.wants(version, "/orders", "Cookie", session)
		drawn[version]++
	}
	if drawn["1.0.0"] == 0 || drawn["1.1.0"] == 0 || len(drawn) != 2 {
		t.Errorf("half of the sessions should be the canary's: %v", drawn)
	}
	shipper(t, p, 0, "promote", "--full")
	if err := run.Done(); err != nil || run.Exit() != 0 {
		t.Errorf("exit code %d: %v\n%s%s", run.Exit(), err, run.Stderr(), story(run))
	}
	s.wants("1.1.0", "/orders", "X-Canary", "never")
}

// shop is asked as shop.example.
type shop struct {
	t       *testing.T
	trust   *x509.CertPool
	address string
}

// ask gives the version that answers, on a connection of its own; none if it
// is not the service.
func (s shop) ask(path string, header ...string) string {
	s.t.Helper()
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.trust, ServerName: "shop.example"}, ForceAttemptHTTP2: true,
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "https://"+s.address+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = "shop.example"
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		s.t.Fatal(err)
	}
	return res.Header.Get("X-Orders-Version")
}

func (s shop) wants(version, path string, header ...string) {
	s.t.Helper()
	if got := s.ask(path, header...); got != version {
		s.t.Errorf("%s with %v: version %q answers, want %q", path, header, got, version)
	}
}

// certify writes shop.pem and shop.key, and gives who trusts them.
func certify(t *testing.T, dir, name string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 3, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "shop.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, "shop.pem"), string(chain))
	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(chain)
	return trust
}
