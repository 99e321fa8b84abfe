package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pair makes a self-signed certificate for name, valid for a time from now on.
func pair(t *testing.T, name string, valid time.Duration) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(valid), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err1 := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	private, err2 := x509.MarshalPKCS8PrivateKey(k)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path+".tmp", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, o Options) (*Certs, Options) {
	t.Helper()
	dir := t.TempDir()
	o.Cert, o.Key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	o.Log, o.Quiet = slog.New(slog.DiscardHandler), time.Millisecond
	cert, key := pair(t, "one", time.Hour)
	put(t, o.Cert, cert)
	put(t, o.Key, key)
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return c, o
}

// served is the name that a new connection sees.
func served(t *testing.T, c *Certs, client *tls.Config) (string, error) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = c.Config()
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	defer s.Close()
	client.InsecureSkipVerify = true
	get := http.Client{Transport: &http.Transport{TLSClientConfig: client, DisableKeepAlives: true, ForceAttemptHTTP2: true}}
	resp, err := get.Get(s.URL)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Errorf("spoke %s", resp.Proto)
	}
	return resp.TLS.PeerCertificates[0].Subject.CommonName, nil
}

func TestRenewalAndRefusal(t *testing.T) {
	c, o := open(t, Options{})
	cert, key := pair(t, "two", 2*time.Hour)
	expired, expiredKey := pair(t, "expired", -time.Minute)
	for i, step := range []struct {
		change func()
		good   bool
		name   string
	}{
		{func() {}, true, "one"},
		{func() { put(t, o.Cert, cert) }, false, "one"}, // the key is still the old one
		{func() { put(t, o.Key, key) }, true, "two"},
		{func() { put(t, o.Cert, expired); put(t, o.Key, expiredKey) }, false, "two"},
		{func() { put(t, o.Cert, []byte("x")) }, false, "two"},
		{func() { os.Remove(o.Key) }, false, "two"},
	} {
		step.change()
		if err := c.Reload(t.Context()); (err == nil) != step.good {
			t.Errorf("step %d: %v", i, err)
		}
		if name, err := served(t, c, &tls.Config{}); name != step.name || err != nil {
			t.Errorf("step %d: serves %s, %v", i, name, err)
		}
	}
	if c.CheckFor(time.Hour)(t.Context()) != nil || c.CheckFor(3*time.Hour)(t.Context()) == nil || c.Check(t.Context()) == nil {
		t.Error("the checks tell nothing")
	}
	if _, err := Open(o); err == nil {
		t.Error("a start with a bad certificate")
	}
}

// The two files change one after the other; the second makes them a pair.
func TestBothFilesAreWatched(t *testing.T) {
	c, o := open(t, Options{})
	renewed := make(chan struct{}, 10)
	c.Use(t.Context(), "test", func(context.Context, *tls.Config, *tls.Config) (func(), error) {
		return func() { renewed <- struct{}{} }, nil
	})
	<-renewed
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.Stop(context.Background())
	cert, key := pair(t, "two", time.Hour)
	put(t, o.Cert, cert)
	put(t, o.Key, key)
	select {
	case <-renewed:
	case <-time.After(time.Minute):
		t.Fatal("not seen")
	}
	if name := c.Get().Certificates[0].Leaf.Subject.CommonName; name != "two" {
		t.Errorf("serves %s", name)
	}
}

func TestClientsNeedACertificate(t *testing.T) {
	cert, key := pair(t, "client", time.Hour)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	put(t, ca, cert)
	c, _ := open(t, Options{ClientCA: ca})
	if _, err := served(t, c, &tls.Config{}); err == nil {
		t.Error("a client without a certificate was let in")
	}
	own, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	if name, err := served(t, c, &tls.Config{Certificates: []tls.Certificate{own}}); name != "one" || err != nil {
		t.Errorf("%s, %v", name, err)
	}
	put(t, ca, []byte("nothing"))
	if err := c.Reload(t.Context()); err == nil {
		t.Error("a file without an authority was taken")
	}
}
