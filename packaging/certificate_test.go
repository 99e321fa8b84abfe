package packaging

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// publisher is a certificate for signing code, with the authority behind it.
type publisher struct {
	ca, cert, key string // PEM files
	roots         *x509.CertPool
}

func newPublisher(t *testing.T, kind, name string) publisher {
	t.Helper()
	return newCertified(t, kind, &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}})
}

// newCertified is whoever leaf describes, certified by an authority of its own.
func newCertified(t *testing.T, kind string, leaf *x509.Certificate) publisher {
	t.Helper()
	dir := t.TempDir()
	from := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	root, rootKey := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, NotBefore: from, NotAfter: from.AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, newTestKey(t, kind)
	leaf.SerialNumber, leaf.NotBefore, leaf.NotAfter, leaf.KeyUsage = big.NewInt(2), from, from.AddDate(20, 0, 0), x509.KeyUsageDigitalSignature
	leafKey := newTestKey(t, kind)
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, leafKey.Public(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	p := publisher{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "code.pem"), filepath.Join(dir, "code.key"), x509.NewCertPool()}
	writePEM(t, p.ca, "CERTIFICATE", rootDER)
	writePEM(t, p.cert, "CERTIFICATE", leafDER)
	writePEM(t, p.key, "PRIVATE KEY", keyDER)
	parsed, err := x509.ParseCertificate(rootDER)
	if err != nil {
		t.Fatal(err)
	}
	p.roots.AddCert(parsed)
	return p
}

func newTestKey(t *testing.T, kind string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	if kind == "rsa" {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// needs skips where a program is missing; `make test` installs them.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s: `make test` installs it", p)
		}
	}
}

// output runs a program that must end well.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
