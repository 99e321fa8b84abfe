//go:build linux

package e2e

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/lab/project"
)

// signing is who vouches for the bundles of a project, and who publishes its
// executables. The keys lie outside the repository.
type signing struct{ key, cert, certKey string }

func newSigning(t *testing.T, b *bench) signing {
	t.Helper()
	dir := t.TempDir()
	s := signing{filepath.Join(dir, "release.key"), filepath.Join(dir, "code.pem"), filepath.Join(dir, "code.key")}
	said(t, b.shipper, "keygen", s.key)
	said(t, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=Lab", "-addext", "extendedKeyUsage=codeSigning",
		"-keyout", s.certKey, "-out", s.cert)
	return s
}

func said(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(name), err, out)
	}
	return string(out)
}

func (s signing) signs() string {
	return fmt.Sprintf("attest: {key: %s}\nsign: {certificate: %s, key: %s}\n", s.key, s.cert, s.certKey)
}

func (s signing) trusts() string { return fmt.Sprintf("trust: {keys: [%s.pub]}\n", s.key) }

const quick = "[{setWeight: 50}]" // how traffic moves is not what is shown here

// A signed release is deployed. One that is unsigned or signed by others is
// refused: by the controller, and by the hosts where the controller asks for
// nothing.
func TestSignedReleases(t *testing.T) {
	b := theBench(t)
	if _, err := exec.LookPath("osslsigncode"); err != nil {
		t.Skip("needs osslsigncode: `make test` installs it")
	}
	ours, theirs := newSigning(t, b), newSigning(t, b)
	p := b.project(t, project.Config{Steps: quick, Bake: "1s", Extra: ours.signs() + ours.trusts()})
	deploy(t, p, "1.0.0", "", 0)
	_, stop := traffic(t, p)

	refused := map[string]struct{ extra, says string }{
		"unsigned":                                {ours.trusts(), "is not signed"},
		"wrongly signed":                          {theirs.signs() + ours.trusts(), "not trusted"},
		"unsigned, and nobody asks":               {"", "is not signed"},
		"wrongly signed, and nobody asks":         {theirs.signs(), "not trusted"},
		"wrongly signed, and these keys are said": {theirs.signs() + theirs.trusts(), "not trusted"},
	}
	if err := p.Version(t.Context(), "1.1.0", ""); err != nil {
		t.Fatal(err)
	}
	for name, tt := range refused {
		if err := p.Configure(project.Config{Steps: quick, Bake: "1s", Extra: tt.extra}); err != nil {
			t.Fatal(err)
		}
		res := shipper(t, p, 8, "deploy").Result()
		if !strings.Contains(res.Error, tt.says) || res.Hint == "" {
			t.Errorf("%s: error %q, hint %q", name, res.Error, res.Hint)
		}
	}
	runs(t, p, "1.0.0")
	if err := p.Configure(project.Config{Steps: quick, Bake: "1s", Extra: ours.signs()}); err != nil { // the right bundle needs no words
		t.Fatal(err)
	}
	shipper(t, p, 0, "deploy")
	runs(t, p, "1.1.0")
	wantNoneLost(t, stop())

	bundles, err := filepath.Glob(filepath.Join(p.Dir(), "dist", "*-1.1.0-*.zip"))
	if err != nil || len(bundles) == 0 {
		t.Fatalf("bundles %v: %v", bundles, err)
	}
	text := said(t, b.shipper, "verify", "--key", ours.key+".pub", "-c", filepath.Join(p.Dir(), "shipper.yaml"), newest(t, bundles))
	if !strings.Contains(text, "Authenticode by Lab") || !strings.Contains(text, "trusted") {
		t.Errorf("verify says %s", text)
	}
	shipper(t, p, 0, "rollback") // asks for no key
	runs(t, p, "1.0.0")
}

// newest is the file that was written last: others of its version are signed
// by somebody else, or by nobody.
func newest(t *testing.T, files []string) string {
	t.Helper()
	modified := func(file string) int64 {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime().UnixNano()
	}
	return slices.MaxFunc(files, func(a, b string) int { return cmp.Compare(modified(a), modified(b)) })
}
