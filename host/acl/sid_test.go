package acl

import "testing"

// The identifier of TrustedInstaller is the same on every Windows and known
// to the world: it pins the derivation.
func TestServiceSID(t *testing.T) {
	const want = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
	for _, name := range []string{"TrustedInstaller", "TRUSTEDINSTALLER"} {
		if got := serviceSID(name); got != want {
			t.Errorf("serviceSID(%q) = %s, want %s", name, got, want)
		}
	}
}
