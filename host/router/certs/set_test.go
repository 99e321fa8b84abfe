package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
)

var today = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func now() time.Time { return today }

// pair writes a certificate for names and its key; it ends after days.
func pair(t *testing.T, dir, file string, days int, names ...string) rpc.Certificate {
	t.Helper()
	return between(t, dir, file, -400, days, names...)
}

func between(t *testing.T, dir, file string, from, to int, names ...string) rpc.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: today.AddDate(0, 0, from), NotAfter: today.AddDate(0, 0, to),
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := rpc.Certificate{Cert: filepath.Join(dir, file+".pem"), Key: filepath.Join(dir, file+".key")}
	write(t, c.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, c.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	return c
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func hello(name string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		ServerName: name, SupportedVersions: []uint16{tls.VersionTLS13},
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, SupportedCurves: []tls.CurveID{tls.X25519},
	}
}

func served(t *testing.T, s *Set, name string) []string {
	t.Helper()
	cert, err := Find([]*Set{s}, hello(name))
	if err != nil {
		t.Fatal(err)
	}
	return cert.Leaf.DNSNames
}

func TestTheNameChoosesTheCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Load([]rpc.Certificate{
		pair(t, dir, "a", 90, "a.example"), pair(t, dir, "b", 90, "b.example", "*.b.example"),
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a.example": "a.example", "b.example": "b.example", "x.b.example": "b.example", "x.y.b.example": "a.example",
		"other.example": "a.example", "": "a.example",
	} {
		if got := served(t, s, name); got[0] != want {
			t.Errorf("%q gets the certificate of %v, want %s", name, got, want)
		}
	}
}

func TestOnlyGoodCertificatesReplaceOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := pair(t, dir, "a", 90, "first.example")
	s, err := Load([]rpc.Certificate{source}, now)
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone((*s.current.Load()))
	if news := s.Refresh(); len(news) != 0 || (*s.current.Load())[0] != before[0] {
		t.Errorf("what did not change is news: %v", news)
	}
	for _, c := range []struct {
		what   string
		damage func()
	}{
		{"does not match", func() { pair(t, dir, "b", 90, "b.example"); rename(t, dir, "b.pem", "a.pem") }},
		{"ended on", func() { pair(t, dir, "a", -1, "old.example") }},
		{"begins on", func() { between(t, dir, "a", 10, 90, "early.example") }},
		{"PEM", func() { write(t, source.Cert, []byte("half a fil")) }},
		{"a.key", func() { _ = os.Remove(source.Key) }},
	} {
		what := c.what
		c.damage()
		news := s.Refresh()
		if len(news) != 1 || !strings.Contains(news[0].Error(), what) || !strings.Contains(news[0].Error(), source.Cert) {
			t.Errorf("%s: news %v", what, news)
		}
		if again := s.Refresh(); len(again) != 0 {
			t.Errorf("%s: told twice: %v", what, again)
		}
		if got := served(t, s, "x"); got[0] != "first.example" {
			t.Errorf("%s: %v is served", what, got)
		}
		if st := s.Status()[0]; !strings.Contains(st.Problem, what) || st.Names[0] != "first.example" {
			t.Errorf("%s: status %+v", what, st)
		}
	}
	pair(t, dir, "a", 10, "second.example")
	if news := s.Refresh(); len(news) != 0 {
		t.Errorf("a good one is news: %v", news)
	}
	st := s.Status()[0]
	if got := served(t, s, "x"); got[0] != "second.example" || st.Problem != "it ends on 2026-05-11" || !st.NotAfter.Equal(today.AddDate(0, 0, 10)) {
		t.Errorf("%v is served, status %+v", got, st)
	}
}

func rename(t *testing.T, dir, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		t.Fatal(err)
	}
}

func TestABadStartIsServedAndTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := pair(t, dir, "a", -1, "old.example")
	if _, err := Load([]rpc.Certificate{old}, now); err == nil {
		t.Error("an old certificate is taken")
	}
	s := Open([]rpc.Certificate{old, {Cert: "missing", Key: "missing"}}, now)
	if got := served(t, s, "x"); got[0] != "old.example" {
		t.Errorf("%v is served", got)
	}
	if st := s.Status(); st[0].Problem == "" || st[1].Problem == "" || st[1].Names != nil {
		t.Errorf("status %+v", st)
	}
	none := Open([]rpc.Certificate{{Cert: "missing", Key: "missing"}}, now)
	if _, err := Find([]*Set{none}, hello("x")); !errors.Is(err, ErrNone) {
		t.Errorf("without any: %v", err)
	}
}
