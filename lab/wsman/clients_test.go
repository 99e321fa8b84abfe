//go:build linux

package wsman_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/masterzen/winrm"

	"github.com/go-shipper/shipper/lab/wsman"
)

// TestPyWinRM proves the endpoint with a client that nobody here wrote.
func TestPyWinRM(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's own: others do not see its packages
	if err := exec.Command(python, "-c", "import winrm").Run(); err != nil {
		t.Skip("pywinrm is not installed: apt-get install python3-winrm")
	}
	s := start(t, wsman.Limits{})
	configuration, err := filepath.Abs(filepath.Join("testdata", "openssl.cnf"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, filepath.Join("testdata", "conformance.py"))
	cmd.Env = append(os.Environ(), "OPENSSL_CONF="+configuration, "LAB_HTTP="+s.http, "LAB_HTTPS="+s.https, "LAB_USER="+user, "LAB_PASSWORD="+password,
		"LAB_CA="+s.caFile, "LAB_COMMAND=cat; exit 7", "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=*")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"ntlm-sealed", "basic-https", "ntlm-https", "wrong-password", "wrong-password-basic", "plain-refused", "basic-over-http-refused"} {
		if !strings.Contains(string(out), "ok "+name+"\n") {
			t.Errorf("%s is missing in\n%s", name, out)
		}
	}
}

// TestMasterzenWinRM uses the parts of that library which work.
func TestMasterzenWinRM(t *testing.T) {
	s := start(t, wsman.Limits{})
	host, portText, err := net.SplitHostPort(s.https)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(s.caFile)
	if err != nil {
		t.Fatal(err)
	}
	endpoint := winrm.NewEndpoint(host, port, true, false, ca, nil, nil, 30*time.Second)
	client, err := winrm.NewClientWithParameters(endpoint, user, password, winrm.NewParameters("PT20S", "en-US", 153600))
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code, err := client.RunWithContext(t.Context(), "echo out; echo bad >&2; exit 3", &stdout, &stderr)
	if err != nil || code != 3 || stdout.String() != "out\n" || stderr.String() != "bad\n" {
		t.Errorf("exit %d, stdout %q, stderr %q, %v", code, &stdout, &stderr, err)
	}
}
