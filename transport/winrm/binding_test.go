//go:build !windows

package winrm

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/wsman"
	"github.com/go-shipper/shipper/transport"
)

// signedBy makes a certificate whose signature uses the given algorithm.
func signedBy(t *testing.T, algorithm x509.SignatureAlgorithm) *tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "web1"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, SignatureAlgorithm: algorithm,
	}
	var der []byte
	var key any
	var err error
	if strings.HasPrefix(algorithm.String(), "ECDSA") {
		k, kerr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if kerr != nil {
			t.Fatal(kerr)
		}
		key = k
		der, err = x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	} else {
		k, kerr := rsa.GenerateKey(rand.Reader, 2048)
		if kerr != nil {
			t.Fatal(kerr)
		}
		key = k
		der, err = x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// CbtHardeningLevel=Strict lets in who is bound to the right certificate,
// whatever its signature is made with.
func TestStrictChannelBinding(t *testing.T) {
	for _, algorithm := range []x509.SignatureAlgorithm{
		x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512,
	} {
		t.Run(algorithm.String(), func(t *testing.T) {
			t.Parallel()
			h := startHostAs(t, wsman.Config{StrictBinding: true, Certificate: signedBy(t, algorithm)})
			dial(t, h.https).Close()
		})
	}
}

// A strict host refuses a logon that is bound to nothing.
func TestUnboundLogonIsRefused(t *testing.T) {
	for _, strict := range []bool{false, true} {
		h := startHostAs(t, wsman.Config{StrictBinding: strict})
		cfg := h.https.withDefaults()
		if err := cfg.loadCA(); err != nil {
			t.Fatal(err)
		}
		l, err := dialLink(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		l.cert = nil // as if we did not know of TLS
		if err := l.ntlm(t.Context(), Credentials{User: testUser, Password: testPassword}); errors.Is(err, errRefused) != strict {
			t.Errorf("strict %t: %v", strict, err)
		}
	}
}

// Somebody in between, with a certificate of his own that we accept, cannot
// pass our logon on to the host.
func TestLogonIsNotPassedOn(t *testing.T) {
	h := startHostAs(t, wsman.Config{StrictBinding: true})
	between := startReencrypting(t, h.https.Port)
	cfg := h.https
	cfg.Port, cfg.CAFile, cfg.Insecure = between, "", true
	_, err := Dial(t.Context(), cfg)
	denied(t, err, transport.Denied, hintPassword)
}

// startReencrypting ends TLS and begins it again.
func startReencrypting(t *testing.T, port int) int {
	t.Helper()
	cert, _ := certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*cert}})
	if err != nil {
		t.Fatal(err)
	}
	r := startRelayOn(t, l, func() (net.Conn, error) {
		return tls.Dial("tcp", net.JoinHostPort("127.0.0.1", portText(port)), &tls.Config{InsecureSkipVerify: true}) // it is in between, after all
	})
	return r.port()
}

// startImpostor answers every request with 200 and counts what it was told.
func startImpostor(t *testing.T, bodies *atomic.Int64) Config {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Wsmanidentify") != "" {
			w.Header().Set("WWW-Authenticate", "Kerberos")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		bodies.Add(max(r.ContentLength, 0))
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return Config{Host: "web1", Address: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, User: testUser, Password: testPassword}
}

func TestPinnedCertificate(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	cfg := h.https
	cfg.CAFile, cfg.RootCAs = "", x509.NewCertPool()
	_, err := Dial(t.Context(), cfg)
	e := denied(t, err, transport.Certificate, hintCA)
	_, seen, ok := strings.Cut(e.Hint, "transport.fingerprint: ")
	if !ok {
		t.Fatalf("the hint does not tell the fingerprint: %q", e.Hint)
	}
	cfg.RootCAs, cfg.Fingerprint = nil, seen
	dial(t, cfg).Close()
	cfg.Fingerprint = strings.ToUpper(seen)
	dial(t, cfg).Close()

	cfg.Fingerprint = seen[:len(seen)-1] + map[bool]string{true: "1", false: "0"}[seen[len(seen)-1] == '0']
	_, err = Dial(t.Context(), cfg)
	if e := denied(t, err, transport.Certificate, hintPin); !strings.HasSuffix(e.Hint, seen) {
		t.Errorf("hint %q does not end with what was seen", e.Hint)
	}
	cfg.Fingerprint, cfg.RootCAs = seen, x509.NewCertPool()
	_, err = Dial(t.Context(), cfg) // an authority and a pin: both must hold
	denied(t, err, transport.Certificate, hintCA)
}

// clientCertificate makes one with its key, in PEM.
func clientCertificate(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})
}

func TestClientCertificate(t *testing.T) {
	mapped := func(c *x509.Certificate) (string, bool) { return testUser, c.Subject.CommonName == "deploy" }
	with, without := startHostAs(t, wsman.Config{ClientUser: mapped}), startHost(t, wsman.Limits{})
	as := func(cfg Config, name string) Config {
		cert, key := clientCertificate(t, name)
		cfg.Auth = AuthCertificate
		cfg.Credentials = func(context.Context) (Credentials, error) { return Credentials{Certificate: cert, Key: key}, nil }
		return cfg
	}
	c := dial(t, as(with.https, "deploy"))
	defer c.Close()
	if r, err := c.Run(t.Context(), "exit 3", nil); err != nil || r.Exit != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	_, err := Dial(t.Context(), as(with.https, "stranger"))
	denied(t, err, transport.Denied, hintCertificateUser)
	_, err = Dial(t.Context(), as(without.https, "deploy"))
	denied(t, err, transport.Denied, hintCertificateUser)
	_, err = Dial(t.Context(), as(with.http, "deploy"))
	denied(t, err, transport.Denied, hintPlainCertificate)
	none := as(with.https, "deploy")
	none.Credentials = func(context.Context) (Credentials, error) { return Credentials{Certificate: []byte("x")}, nil }
	_, err = Dial(t.Context(), none)
	denied(t, err, transport.Denied, hintCredentials)
}

// Where the host has Basic switched off, it is not sent a second time.
func TestBasicSwitchedOff(t *testing.T) {
	h := startHostAs(t, wsman.Config{Schemes: []string{"Negotiate"}})
	cfg := h.https
	cfg.Auth = AuthBasic
	_, err := Dial(t.Context(), cfg)
	denied(t, err, transport.Denied, hintNoBasic)
}
