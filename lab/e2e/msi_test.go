//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/lab/project"
)

// A host that got the package by other means needs nothing more: the first
// deploy brings no helper and sends no byte of the release.
func TestFirstInstallationByPackage(t *testing.T) {
	b := theBench(t)
	if _, err := exec.LookPath("wixl"); err != nil {
		t.Skip("needs wixl and msitools: `make test` installs them")
	}
	l := b.ownLab(t, 1)
	c := unattended()
	c.Extra = "package: {msi: true, manufacturer: Example}\n"
	p := b.projectOn(t, l.Hosts(), c)
	if err := p.Version(t.Context(), "1.0.0", ""); err != nil {
		t.Fatal(err)
	}
	shipper(t, p, 0, "build")
	packages, err := filepath.Glob(filepath.Join(p.Dir(), "dist", "*.msi"))
	if err != nil || len(packages) != 1 {
		t.Fatalf("packages: %q, %v", packages, err)
	}
	msi, err := os.ReadFile(packages[0])
	if err != nil {
		t.Fatal(err)
	}
	host := l.Hosts()[0].Name
	if err := os.WriteFile(filepath.Join(l.Prefix(host), "drive_c", "orders.msi"), msi, 0o644); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if exit, err := l.Exec(t.Context(), host, `msiexec /i C:\orders.msi /qn`, nil, &out, &out); err != nil || exit != 0 {
		t.Fatalf("msiexec: exit code %d, %v\n%s", exit, err, out.String())
	}
	bundles, err := filepath.Glob(filepath.Join(p.Dir(), "dist", "*.zip"))
	if err != nil || len(bundles) != 1 {
		t.Fatalf("bundles: %q, %v", bundles, err)
	}
	run := shipper(t, p, 0, "deploy", "--bundle", bundles[0])
	if _, info, ok := project.Find[journal.HostInfo](run.Records(), journal.TypeHost, nil); !ok || info.Action != "connected" {
		t.Errorf("host: %+v", info)
	}
	if _, push, ok := project.Find[journal.Push](run.Records(), journal.TypePush, nil); !ok || push.Sent != 0 || push.Wire != 0 {
		t.Errorf("push: %+v", push)
	}
	runs(t, p, "1.0.0")
	shipper(t, p, 0, "remove")
	if exit, err := l.Exec(t.Context(), host, `msiexec /x C:\orders.msi /qn`, nil, &out, &out); err != nil || exit != 0 {
		t.Errorf("uninstall: exit code %d, %v\n%s", exit, err, out.String())
	}
	if left := fmt.Sprint(filepath.Glob(filepath.Join(l.Prefix(host), "drive_c", "Program Files", "shipper", "staging", "*"))); left != "[] <nil>" {
		t.Errorf("left behind: %s", left)
	}
}
