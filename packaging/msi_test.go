package packaging

import (
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// table exports a table of a package, without its three lines of head.
func table(t *testing.T, msi, name string) [][]string {
	t.Helper()
	out, err := exec.Command("msiinfo", "export", msi, name).Output()
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(strings.NewReader(strings.ReplaceAll(string(out), "\r", "")))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes = '\t', -1, true
	rows, err := r.ReadAll()
	if err != nil || len(rows) < 3 {
		t.Fatalf("table %s: %d rows, %v", name, len(rows), err)
	}
	return rows[3:]
}

func property(t *testing.T, msi, name string) string {
	t.Helper()
	for _, row := range table(t, msi, "Property") {
		if row[0] == name {
			return row[1]
		}
	}
	t.Fatalf("no property %s", name)
	return ""
}

func TestPackageForTheFirstInstallation(t *testing.T) {
	if _, err := exec.LookPath("wixl"); err != nil {
		t.Skip("needs wixl and msitools: `make test` installs them")
	}
	t.Parallel()
	dir := t.TempDir()
	bundle := filepath.Join(dir, "bundle.zip")
	if err := os.WriteFile(bundle, sampleBundle(t), 0o644); err != nil {
		t.Fatal(err)
	}
	helper := []byte("MZ the helper")
	req := MSIRequest{Bundle: bundle, Helper: helper, Manufacturer: "ACME & Sons", Out: dir, Log: func(string) {}}
	msi, err := MSI(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := MSI(t.Context(), req); err != nil || again != msi || property(t, msi, "ProductVersion") != "1.4.2" || property(t, msi, "Manufacturer") != "ACME & Sons" {
		t.Errorf("%s, then %s, %v", msi, again, err)
	}
	if code := property(t, msi, "ProductCode"); code != "{"+strings.ToUpper(guid("product", "orders", "1.4.2", digestOf(t, bundle)))+"}" {
		t.Errorf("product code %s", code)
	}
	out := filepath.Join(dir, "out")
	if text, err := exec.Command("msiextract", "-C", out, msi).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	root := filepath.Join(out, "shipper")
	if got, err := os.ReadFile(filepath.Join(root, "bin", string(release.Of(helper)), "shipper-host.exe")); err != nil || string(got) != string(helper) {
		t.Errorf("the helper: %q, %v", got, err)
	}
	staged, err := os.ReadDir(filepath.Join(root, "staging"))
	if err != nil || len(staged) != 2 {
		t.Fatalf("contents: %v, %v", staged, err)
	}
	for _, e := range staged {
		if got, err := os.ReadFile(filepath.Join(root, "staging", e.Name())); err != nil || string(release.Of(got)) != e.Name() {
			t.Errorf("content %s: %v", e.Name(), err)
		}
	}
	for _, row := range table(t, msi, "Component") {
		if permanent := row[3] == "272"; permanent != (row[0] == "helper") {
			t.Errorf("component %q", row)
		}
	}
}

func digestOf(t *testing.T, bundle string) string {
	t.Helper()
	b, err := Open(bundle)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	return string(b.Release().Digest)
}

func TestVersionsThatWindowsInstallerLacks(t *testing.T) {
	t.Parallel()
	for version, good := range map[string]bool{"1.4.2": true, "1.0.0-rc.1": true, "255.255.65535": true, "256.0.0": false, "1.256.0": false, "1.0.65536": false} {
		b := &Bundle{Manifest: Manifest{Name: "orders", Version: version}}
		if _, err := newProduct(b, ""); (err == nil) != good || !good && problem.HintOf(err) == "" {
			t.Errorf("%s: %v", version, err)
		}
	}
}
