package router

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// issue writes a certificate for names and its key, and gives who trusts it.
func issue(t *testing.T, at rpc.Certificate, names ...string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: names, IsCA: true, BasicConstraintsValid: true,
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
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for path, data := range map[string][]byte{at.Cert: chain, at.Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(chain)
	return trust
}

func files(dir, name string) rpc.Certificate {
	return rpc.Certificate{Cert: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+".key")}
}

// secure asks by TLS on a connection of its own.
func (r *rig) secure(host string, trust *x509.CertPool, h2 bool) (*http.Response, string, error) {
	t := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trust, ServerName: host}, Protocols: &http.Protocols{},
	}
	t.Protocols.SetHTTP1(!h2)
	t.Protocols.SetHTTP2(h2)
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(r.ctx, http.MethodPost, "https://"+r.listen+"/x", strings.NewReader("body"))
	if err != nil {
		return nil, "", err
	}
	req.Host = host
	res, err := t.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res, string(text), err
}

func tells(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", name, r.Host, r.Header.Get("X-Forwarded-Proto"), body)
	}
}

func TestTLSEndsAtTheRouter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, Options{Renew: 2 * time.Millisecond})
	trust := map[string]*x509.CertPool{}
	for _, host := range []string{"a.example", "b.example"} {
		trust[host] = issue(t, files(dir, host), host)
		route := r.placed(host, serve(t, tells(host)), "", host)
		route.TLS = &rpc.TLS{Certificates: []rpc.Certificate{files(dir, host)}}
		v := r.put(route)
		if len(v.Certificates) != 1 || v.Certificates[0].Names[0] != host || v.Certificates[0].Problem != "" {
			t.Errorf("view of %s: %+v", host, v.Certificates)
		}
	}
	for host, pool := range trust {
		for _, h2 := range []bool{false, true} {
			res, text, err := r.secure(host, pool, h2)
			if err != nil || text != host+" "+host+" https body" || (res.ProtoMajor == 2) != h2 {
				t.Errorf("%s, HTTP/2 %v: %v %q, %v", host, h2, res, text, err)
			}
		}
	}
	renewed := issue(t, files(dir, "a.example"), "a.example")
	r.eventually("the renewed certificate is served", func() bool {
		_, _, err := r.secure("a.example", renewed, false)
		return err == nil
	})
	if err := os.WriteFile(files(dir, "a.example").Cert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.eventually("the view tells of the broken file", func() bool {
		v, err := r.Get(r.ctx, "a.example")
		return err == nil && v.Certificates[0].Problem != ""
	})
	if _, _, err := r.secure("a.example", renewed, false); err != nil {
		t.Errorf("with a broken file: %v", err)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, Options{})
	trust := issue(t, files(dir, "a"), "a.example")
	route := r.placed("a", backend(t, "a"), "")
	route.TLS = &rpc.TLS{Certificates: []rpc.Certificate{files(dir, "a")}}
	r.put(route)
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c, err := tls.Dial("tcp", r.listen, &tls.Config{RootCAs: trust, ServerName: "a.example", MinVersion: version, MaxVersion: version})
		if err == nil {
			c.Close()
		}
		if (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	if _, err := http.Get(r.url("/")); err == nil {
		t.Error("plain HTTP is answered on an address with TLS")
	}
}

func TestABadCertificateIsNoRoute(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, Options{})
	issue(t, files(dir, "a"), "a.example")
	issue(t, files(dir, "b"), "b.example")
	route := r.placed("a", backend(t, "a"), "")
	for what, c := range map[string]rpc.Certificate{
		"of another key": {Cert: files(dir, "a").Cert, Key: files(dir, "b").Key},
		"that is absent": files(dir, "c"),
	} {
		route.TLS = &rpc.TLS{Certificates: []rpc.Certificate{c}}
		if _, err := r.Put(r.ctx, route, 0); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.Cert) {
			t.Errorf("a certificate %s: %v", what, err)
		}
	}
	if _, err := net.Dial("tcp", r.listen); err == nil {
		t.Error("a refused route is listened for")
	}
}

// A certificate that is gone at the start of the router costs the handshakes,
// not the router; once it is there again it is served.
func TestARestartWithoutItsCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, Options{})
	issue(t, files(dir, "a"), "a.example")
	route := r.placed("a", backend(t, "a"), "")
	route.TLS, route.Stable = &rpc.TLS{Certificates: []rpc.Certificate{files(dir, "a")}}, release.Blue
	r.put(route)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(files(dir, "a").Key); err != nil {
		t.Fatal(err)
	}
	again := start(t, Options{Dir: r.dir, Renew: 2 * time.Millisecond})
	again.listen = r.listen
	v, err := again.Get(again.ctx, "a")
	if err != nil || len(v.Certificates) != 1 || v.Certificates[0].Problem == "" {
		t.Errorf("view %+v, %v", v.Certificates, err)
	}
	if _, _, err := again.secure("a.example", nil, false); err == nil {
		t.Error("a handshake without a certificate")
	}
	trust := issue(t, files(dir, "a"), "a.example")
	again.eventually("the certificate is served", func() bool {
		_, _, err := again.secure("a.example", trust, true)
		return err == nil
	})
}
