//go:build linux

package winrm

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/go-shipper/shipper/lab"
	"github.com/go-shipper/shipper/lab/wsman"
)

// Wine's security packages are MIT's GSS-API behind the calls of Windows: the
// logon with the tickets of the current user, and the host's proof, are shown
// here. Wine binds to no channel, and seals in another order than Windows: both
// wait for a real one.
func TestCurrentUserOnWine(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Wine")
	}
	l, err := lab.NewLoose(t.Context(), t.TempDir(), func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", filepath.Join(l.Drive(), "test.exe"), ".")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	d := startDomain(t)
	h := d.host(t, wsman.Config{})
	cache := d.Kinit("deploy", d.Keytab("deploy"))
	if err := os.WriteFile(filepath.Join(l.Drive(), "ca.pem"), contents(t, h.https.CAFile), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, auth := range []string{AuthKerberos, AuthSSPI} {
		cmd := l.Command([]string{
			"KRB5_CONFIG=" + d.Config, "KRB5CCNAME=FILE:" + cache, "SHIPPER_TEST_PORT=" + portText(h.https.Port), `SHIPPER_TEST_CA=C:\ca.pem`,
			"SHIPPER_TEST_AUTH=" + auth, "SHIPPER_TEST_SPN=" + domainHost,
		}, `C:\test.exe`, "-test.v", "-test.run", "TestCurrentUser$")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", auth, err, out)
		}
	}
	if n := h.asked.Load(); n != 0 {
		t.Errorf("the host was asked for a password %d times", n)
	}
}
