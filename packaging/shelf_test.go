package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

func TestNamesOfBundlesAreReadBack(t *testing.T) {
	d := release.Of([]byte("x"))
	for _, version := range []string{"1.4.2", "1.0.0-rc.1", "1.0.0-rc-2.x+b-7.dirty", "0.0.0-20260304050607.g123456+dirty", "2.0.0+a"} {
		for _, service := range []string{"orders", "a-1.0.0-b", "x_y"} {
			name := FileName(service, release.Release{Version: version, Digest: d})
			l, ok := ParseName(service, name)
			if !ok || l.Version != version || l.Short != d.Short() || l.Name != name || strings.ContainsAny(name, "+ ") {
				t.Errorf("%s: %+v %v", name, l, ok)
			}
		}
	}
	short := d.Short()
	for _, name := range []string{
		"", "orders", "orders-.zip", "orders-1.4.2.zip", "orders-1.4-" + short + ".zip", "orders-1.4.2-" + short, "orders-1.4.2-" + short + ".zip.sigstore.json",
		"billing-1.4.2-" + short + ".zip", "orders-1.4.2-" + strings.ToUpper(short) + "X.zip", "orders-01.4.2-" + short + ".zip", "orders-../1.4.2-" + short + ".zip",
	} {
		if l, ok := ParseName("orders", name); ok {
			t.Errorf("%q taken for %+v", name, l)
		}
	}
}

func listed(versions ...string) []Listed {
	var all []Listed
	for _, v := range versions {
		l, ok := ParseName("orders", FileName("orders", release.Release{Version: v, Digest: release.Of([]byte(v))}))
		if !ok {
			panic(v)
		}
		all = append(all, l)
	}
	return all
}

func TestSelect(t *testing.T) {
	all := listed("1.4.0", "1.10.2", "1.9.9", "2.0.0-rc.1", "2.0.0-rc.2", "0.0.0-20260304050607.abcdef0", "3.0.0+a", "3.0.0+b", "1.4.1+dirty")
	tests := map[string]string{
		"^1.4": "1.10.2", "~1.4": "1.4.1+dirty", "<1.10": "1.9.9", "1.4.0": "1.4.0", "v1.4.0": "1.4.0", ">=1.9 <2": "1.10.2", "1.x": "1.10.2",
		"^2":         "", // pre-releases do not sneak in
		"^2.0.0-0":   "2.0.0-rc.2",
		"2.0.0-rc.1": "2.0.0-rc.1", "0.0.0-20260304050607.abcdef0": "0.0.0-20260304050607.abcdef0",
		"3.0.0":   "", // two of them
		"3.0.0+b": "3.0.0+b", "3.0.0+c": "", "^9": "", "orders": "", "": "",
	}
	for constraint, want := range tests {
		l, err := Select(all, constraint)
		switch {
		case want == "" && (problem.KindOf(err) != problem.Usage || problem.HintOf(err) == ""):
			t.Errorf("%q: %+v, %v", constraint, l, err)
		case want != "" && (err != nil || l.Version != want):
			t.Errorf("%q: %+v, want %s: %v", constraint, l, want, err)
		}
	}
	if _, err := Select(all, "3.0.0"); err == nil || !strings.Contains(err.Error(), "3.0.0_a") || !strings.Contains(err.Error(), "3.0.0_b") {
		t.Errorf("two of one version: %v", err)
	}
}

func TestBackwards(t *testing.T) {
	tests := []struct {
		from, to string
		want     bool
	}{
		{"1.4.2", "1.4.1", true}, {"1.4.2", "1.4.2", false}, {"1.4.2", "1.10.0", false}, {"1.10.0", "1.9.0", true},
		{"2.0.0", "2.0.0-rc.1", true}, {"2.0.0-rc.1", "2.0.0", false}, {"2.0.0-rc.2", "2.0.0-rc.1", true},
		{"1.0.0+b", "1.0.0+a", false}, {"1.0.1+dirty", "1.0.0", true},
		{"0.0.0-20260304050607.abcdef0", "0.0.0-20260304050606.abcdef0", true},
		{"0.0.0-20260304050607.abcdef0", "0.0.0-20260304050607.1234567", false}, // the same second
		{"0.0.0-20260304050606.abcdef0", "0.0.0-20260304050607.g000000+dirty", false},
		{"1.4.2", "0.0.0-20260304050607.abcdef0", false}, {"0.0.0-20260304050607.abcdef0", "1.4.2", false}, // no order
		{"0.1.0", "0.0.0-1", true}, {"", "1.0.0", false}, {"latest", "1.0.0", false}, {"1.0.0", "latest", false},
	}
	for _, tt := range tests {
		if got := Backwards(tt.from, tt.to); got != tt.want {
			t.Errorf("from %q to %q: %v", tt.from, tt.to, got)
		}
	}
}

func TestTakeFromFolder(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for _, version := range []string{"1.0.0", "1.2.0"} {
		m, contents := sample(map[string]string{"orders.exe": "MZ" + version})
		m.Version = version
		path, _, err := writeFile(dir, m, contents, nil)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	write(t, filepath.Join(dir, "checksums.txt"), "x")
	b, err := Take(t.Context(), Folder(dir), "orders", "^1")
	if err != nil || b.Release().Version != "1.2.0" {
		t.Fatalf("%v: %v", b, err)
	}
	b.Close()
	if _, err := Take(t.Context(), Folder(filepath.Join(dir, "none")), "orders", "^1"); problem.KindOf(err) != problem.Usage {
		t.Errorf("no folder: %v", err)
	}
	if err := os.Rename(paths[0], paths[1]); err != nil { // an old release under a new one's name
		t.Fatal(err)
	}
	if _, err := Take(t.Context(), Folder(dir), "orders", "^1.2"); problem.KindOf(err) != problem.Verification {
		t.Errorf("renamed: %v", err)
	}
}
