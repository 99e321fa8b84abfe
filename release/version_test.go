package release

import "testing"

func TestCompareVersions(t *testing.T) {
	t.Parallel()
	order := []string{
		"0.0.0-20261123120000.aaaaaaa", "0.0.0-20261124090000.0000001", "0.0.0", "0.9.9", "1.0.0-alpha", "1.0.0-alpha.1",
		"1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0",
	}
	for i, a := range order {
		for j, b := range order {
			want := min(max(i-j, -1), 1)
			if got := CompareVersions(a, b); got != want {
				t.Errorf("%s and %s: %d, want %d", a, b, got, want)
			}
			if got := CompareVersions("v"+a+"+x", b); got != want {
				t.Errorf("v%s+x and %s: %d, want %d", a, b, got, want)
			}
		}
	}
}

func FuzzCompareVersions(f *testing.F) {
	f.Add("1.0.0", "v1.0.0-rc.1+b")
	f.Add("", "-")
	f.Fuzz(func(t *testing.T, a, b string) {
		if CompareVersions(a, a) != 0 || CompareVersions(a, b) != -CompareVersions(b, a) {
			t.Errorf("%q and %q have no order", a, b)
		}
	})
}
