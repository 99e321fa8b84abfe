package packaging

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release/attest"
)

func TestKeygen(t *testing.T) {
	for _, kind := range []string{Ed25519, ECDSA} {
		for _, passphrase := range []string{"", "correct horse"} {
			path := filepath.Join(t.TempDir(), "release.key")
			made, err := Keygen(path, kind, passphrase)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v: %v", info.Mode(), err)
			}
			if sealed := strings.Contains(string(read(t, path)), "ENCRYPTED"); sealed != (passphrase != "") {
				t.Errorf("encrypted: %v", sealed)
			}
			t.Setenv("KEY_PASSPHRASE", passphrase)
			a := config.Attest{Key: path}
			if passphrase != "" {
				a.Passphrase = "${env:KEY_PASSPHRASE}"
			}
			private, err := Signer(a)
			if err != nil {
				t.Fatal(err)
			}
			key, err := attest.KeyOf(private.Public())
			if err != nil || key.ID != made.ID {
				t.Errorf("private half of %s, made %s: %v", key, made, err)
			}
			keys, err := PublicKeys([]string{path + ".pub"})
			if err != nil || keys[0].ID != made.ID {
				t.Errorf("public half: %v", err)
			}
			t.Setenv("WHOLE_KEY", string(read(t, path)))
			a.Key = "${env:WHOLE_KEY}"
			if _, err := Signer(a); err != nil {
				t.Errorf("key from a variable: %v", err)
			}
		}
	}
}

func TestKeysAreNeverOverwritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.key")
	if _, err := Keygen(path, Ed25519, ""); err != nil {
		t.Fatal(err)
	}
	before := string(read(t, path)) + string(read(t, path+".pub"))
	if _, err := Keygen(path, Ed25519, ""); problem.KindOf(err) != problem.Usage {
		t.Errorf("%v", err)
	}
	if string(read(t, path))+string(read(t, path+".pub")) != before {
		t.Error("a key was replaced")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Keygen(path, Ed25519, ""); problem.KindOf(err) != problem.Usage { // its public half is there
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("half a key was left")
	}
}

// openssl reads the encrypted keys, and we read its.
func TestEncryptedKeysAreStandard(t *testing.T) {
	needs(t, "openssl")
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours.key"), filepath.Join(dir, "theirs.key")
	if _, err := Keygen(ours, ECDSA, "secret"); err != nil {
		t.Fatal(err)
	}
	plain := output(t, "openssl", "pkey", "-in", ours, "-passin", "pass:secret")
	block, _ := pem.Decode([]byte(plain))
	if block == nil {
		t.Fatalf("openssl says %s", plain)
	}
	if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		t.Error(err)
	}
	output(t, "openssl", "genpkey", "-algorithm", "ed25519", "-aes-256-cbc", "-pass", "pass:secret", "-out", theirs)
	if _, err := decodeKey(read(t, theirs), "secret"); err != nil {
		t.Error(err)
	}
	if _, err := decodeKey(read(t, theirs), "Secret"); err == nil {
		t.Error("opened with another passphrase")
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.key")
	if _, err := Keygen(good, Ed25519, "secret"); err != nil {
		t.Fatal(err)
	}
	rsa := filepath.Join(dir, "rsa.key")
	der, err := x509.MarshalPKCS8PrivateKey(newTestKey(t, "rsa"))
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, rsa, "PRIVATE KEY", der)
	write(t, filepath.Join(dir, "text.key"), "no key")
	writePEM(t, filepath.Join(dir, "sealed.key"), "ENCRYPTED PRIVATE KEY", []byte("nonsense"))
	writePEM(t, filepath.Join(dir, "big.key"), "PRIVATE KEY", make([]byte, maxKeyFile))
	t.Setenv("WRONG", "wrong")
	for name, a := range map[string]config.Attest{
		"missing": {Key: filepath.Join(dir, "none")}, "text": {Key: filepath.Join(dir, "text.key")}, "public": {Key: good + ".pub"},
		"no passphrase": {Key: good}, "wrong passphrase": {Key: good, Passphrase: "${env:WRONG}"}, "unset": {Key: good, Passphrase: "${env:NO_SUCH_VARIABLE}"},
		"rsa": {Key: rsa}, "nonsense": {Key: filepath.Join(dir, "sealed.key"), Passphrase: "${env:WRONG}"}, "too big": {Key: filepath.Join(dir, "big.key")},
	} {
		if _, err := Signer(a); problem.KindOf(err) != problem.Usage || problem.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range []string{good, filepath.Join(dir, "none"), filepath.Join(dir, "text.key")} {
		if _, err := PublicKeys([]string{path}); problem.KindOf(err) != problem.Usage {
			t.Errorf("%s as a public key: %v", path, err)
		}
	}
	if s, err := Signer(config.Attest{}); s != nil || err != nil {
		t.Errorf("no key: %v, %v", s, err)
	}
}

func FuzzOpenPKCS8(f *testing.F) {
	sealed, err := sealPKCS8([]byte{0x30, 0}, "p")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 300 { // rounds up to the limit are slow, not wrong
			return
		}
		_, _ = openPKCS8(b, "q")
	})
}
