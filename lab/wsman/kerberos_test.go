//go:build linux

package wsman_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/lab/kdctest"
	"github.com/go-shipper/shipper/lab/wsman"
	"github.com/go-shipper/shipper/lab/wsman/krb5"
)

const serviceHost = "host1.example.test"

// startInDomain is a service in a domain, that wants logons over HTTPS bound.
func startInDomain(t *testing.T, k *kdctest.KDC) *service {
	t.Helper()
	keytab, err := os.ReadFile(k.Keytab("HTTP/" + serviceHost))
	if err != nil {
		t.Fatal(err)
	}
	account, err := krb5.NewService(keytab)
	if err != nil {
		t.Fatal(err)
	}
	return startAs(t, wsman.Config{Kerberos: account, StrictBinding: true})
}

// TestKerberosOfMIT proves the acceptor with a client that nobody here wrote:
// pywinrm's messages, sealed by MIT's GSS-API, with tickets of MIT's KDC.
func TestKerberosOfMIT(t *testing.T) {
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import winrm, gssapi").Run(); err != nil {
		t.Skip("not installed: apt-get install python3-winrm python3-gssapi")
	}
	k := kdctest.Start(t, kdctest.Options{})
	s := startInDomain(t, k)
	k.Kinit("alice", k.Keytab("alice"))
	openssl, err := filepath.Abs(filepath.Join("testdata", "openssl.cnf"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, filepath.Join("testdata", "kerberos.py"))
	cmd.Env = append(k.Env(), "OPENSSL_CONF="+openssl, "LAB_HTTP="+s.http, "LAB_HTTPS="+s.https, "LAB_SERVICE_HOST="+serviceHost, "LAB_CA="+s.caFile,
		"LAB_BINDING="+hex.EncodeToString(fingerprint(t, s.caFile)), "LAB_COMMAND=echo hello; exit 7", "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=*")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"kerberos-sealed", "negotiate-sealed", "spnego-sealed", "kerberos-https", "kerberos-unbound", "kerberos-wrongly-bound"} {
		if !strings.Contains(string(out), "ok "+name+"\n") {
			t.Errorf("%s is missing in\n%s", name, out)
		}
	}
}

func fingerprint(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	sum := sha256.Sum256(block.Bytes)
	return sum[:]
}
