package packaging

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
)

// newTimestamper is a time stamp authority (RFC 3161) by OpenSSL; its address, and
// the certificate to believe.
func newTimestamper(t *testing.T) (url, ca string) {
	t.Helper()
	only, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}}) // timeStamping
	if err != nil {
		t.Fatal(err)
	}
	tsa := newCertified(t, "rsa", &x509.Certificate{
		Subject:         pkix.Name{CommonName: "Test Clock"},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: only}},
	})
	dir := t.TempDir()
	conf := filepath.Join(dir, "tsa.cnf")
	text := "[tsa]\ndefault_tsa = a\n[a]\nserial = " + filepath.Join(dir, "serial") +
		"\ndefault_policy = 1.2.3.4\ndigests = sha256\nsigner_digest = sha256\ness_cert_id_alg = sha256\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := filepath.Join(t.TempDir(), "query")
		asked, err := io.ReadAll(r.Body)
		if err == nil {
			err = os.WriteFile(query, asked, 0o600)
		}
		if err != nil {
			t.Error(err)
		}
		reply := exec.Command("openssl", "ts", "-reply", "-config", conf, "-queryfile", query, "-signer", tsa.cert, "-inkey", tsa.key, "-chain", tsa.ca)
		var says bytes.Buffer
		reply.Stderr = &says
		stamp, err := reply.Output()
		if err != nil {
			t.Errorf("openssl ts: %v: %s", err, says.String())
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(stamp) // osslsigncode says what is wrong with it
	}))
	t.Cleanup(server.Close)
	return server.URL, tsa.ca
}

// A time stamp is of a foreign clock, so no two are the same; what was signed is.
func TestTimestamp(t *testing.T) {
	needs(t, "osslsigncode", "openssl")
	p := newPublisher(t, "rsa", "Hello GmbH")
	url, clock := newTimestamper(t)
	dir := newRepo(t, nil)
	git(t, dir, "tag", "v1.4.2")
	var warned []string
	bundle, _, err := packSigned(t, dir, config.Sign{Certificate: p.cert, Key: p.key, Timestamp: url}, func(line string) { warned = append(warned, line) })
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(warned, "\n"), "sign.timestamp") {
		t.Errorf("warned: %q", warned)
	}
	exe, target := unpack(t, bundle, "amd64")
	says := output(t, "osslsigncode", "verify", "-CAfile", p.ca, "-TSA-CAfile", clock, "-in", exe)
	if !strings.Contains(says, "Test Clock") || !strings.Contains(says, "Timestamp Server Signature verification: ok") {
		t.Errorf("osslsigncode says: %s", says)
	}
	checkSignature(t, exe, p)
	_, plain := pack(t, dir, config.Build{Goreleaser: "none"})
	if target.Unsigned != executableOf(plain.Targets[0]).SHA256 {
		t.Errorf("unsigned %s, built %s", target.Unsigned, executableOf(plain.Targets[0]).SHA256)
	}
	if _, err := Rebuild(t.Context(), RebuildRequest{Bundle: bundle, Source: dir, Log: func(string) {}}); err != nil {
		t.Errorf("build again: %v", err)
	}
}

func TestTimestamperThatDoesNotAnswer(t *testing.T) {
	needs(t, "osslsigncode")
	p := newPublisher(t, "rsa", "Hello GmbH")
	nobody := httptest.NewServer(nil)
	nobody.Close()
	dir := newRepo(t, nil)
	_, _, err := packSigned(t, dir, config.Sign{Certificate: p.cert, Key: p.key, Timestamp: nobody.URL}, nil)
	if err == nil || !strings.Contains(problem.HintOf(err), "sign.timestamp") {
		t.Errorf("%v; hint: %s", err, problem.HintOf(err))
	}
}
