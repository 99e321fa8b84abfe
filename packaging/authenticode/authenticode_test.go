package authenticode

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// program is a small executable of Go, built once.
var program = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "authenticode-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	err = os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o644)
	if err != nil {
		return nil, err
	}
	exe := filepath.Join(dir, "x.exe")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", exe, filepath.Join(dir, "main.go"))
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.Join(err, errors.New(string(out)))
	}
	return os.ReadFile(exe)
})

// tiny is the smallest image that has all that a signature touches.
func tiny(pe32 bool) []byte {
	b := make([]byte, 512)
	copy(b, "MZ")
	binary.LittleEndian.PutUint32(b[60:], 64)
	copy(b[64:], "PE\x00\x00")
	magic, directories := uint16(0x20b), 112
	if pe32 {
		magic, directories = 0x10b, 96
	}
	binary.LittleEndian.PutUint16(b[88:], magic)
	binary.LittleEndian.PutUint32(b[88+directories-4:], 16)
	return b
}

type authority struct {
	dir   string
	roots *x509.CertPool
}

func newAuthority(t testing.TB, usage x509.ExtKeyUsage) authority {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test"}, NotBefore: from, NotAfter: from.AddDate(20, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{t.TempDir(), x509.NewCertPool()}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(filepath.Join(a.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.roots.AddCert(parsed)
	return a
}

// sign has an executable signed by a tool that is not ours.
func (a authority) sign(t testing.TB, exe []byte, hash string) []byte {
	t.Helper()
	if _, err := exec.LookPath("osslsigncode"); err != nil {
		t.Skip("needs osslsigncode: `make test` installs it")
	}
	in, out := filepath.Join(a.dir, "in.exe"), filepath.Join(a.dir, "out.exe")
	_ = os.Remove(out) // of the time before
	if err := os.WriteFile(in, exe, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("osslsigncode", "sign", "-h", hash, "-certs", filepath.Join(a.dir, "cert.pem"), "-key", filepath.Join(a.dir, "key.pem"), "-in", in, "-out", out)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func verify(b []byte) (*Signature, error) { return Verify(bytes.NewReader(b), int64(len(b))) }

func real(t testing.TB) []byte {
	t.Helper()
	b, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVerify(t *testing.T) {
	exe := real(t)
	if _, err := verify(exe); !errors.Is(err, ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
	a := newAuthority(t, x509.ExtKeyUsageCodeSigning)
	before, err := Digest(bytes.NewReader(exe), int64(len(exe)))
	if err != nil {
		t.Fatal(err)
	}
	for hash, want := range map[string]crypto.Hash{"sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512} {
		signed := a.sign(t, exe, hash)
		s, err := verify(signed)
		if err != nil {
			t.Fatalf("%s: %v", hash, err)
		}
		if s.Algorithm != want || s.Signer.Subject.CommonName != "Test" || s.Chain(a.roots) != nil || s.Time.IsZero() {
			t.Errorf("%s: %+v", hash, s)
		}
		if s.Chain(x509.NewCertPool()) == nil {
			t.Errorf("%s: trusted by nobody, and taken", hash)
		}
		if after, err := Digest(bytes.NewReader(signed), int64(len(signed))); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: the signature is part of the digest: %v", hash, err)
		}
	}
	other := newAuthority(t, x509.ExtKeyUsageServerAuth)
	if s, err := verify(other.sign(t, exe, "sha256")); err != nil || s.Chain(other.roots) == nil {
		t.Errorf("a certificate for servers may sign code: %v", err)
	}
	if s, err := verify(a.sign(t, exe, "sha1")); err == nil {
		t.Errorf("took SHA-1: %+v", s)
	}
}

// Whatever is changed in what was signed is found; so is what is added.
func TestChangesAreFound(t *testing.T) {
	a := newAuthority(t, x509.ExtKeyUsageCodeSigning)
	signed := a.sign(t, real(t), "sha256")
	img, err := parse(bytes.NewReader(signed), int64(len(signed)))
	if err != nil {
		t.Fatal(err)
	}
	positions := []int64{0, 60, img.entry - 1, img.entry + 8, img.table - 1, img.checksum - 1, img.checksum + 4}
	for range 200 {
		positions = append(positions, mathrand.Int64N(img.table))
	}
	for _, at := range positions {
		if at >= img.checksum && at < img.checksum+4 || at >= img.entry && at < img.entry+8 {
			continue // not part of what is signed
		}
		bad := bytes.Clone(signed)
		bad[at] ^= byte(1 + mathrand.IntN(255))
		if _, err := verify(bad); err == nil {
			t.Errorf("byte %d changed, and nobody noticed", at)
		}
	}
	for _, bad := range [][]byte{append(bytes.Clone(signed), make([]byte, 8)...), signed[:len(signed)-8], signed[:img.table]} {
		if _, err := verify(bad); err == nil {
			t.Error("other length, and nobody noticed")
		}
	}
	other := a.sign(t, append(real(t), 1, 2, 3, 4, 5, 6, 7, 8), "sha256")
	moved := append(bytes.Clone(signed[:img.table]), other[len(other)-(len(signed)-int(img.table)):]...)
	if _, err := verify(moved); err == nil {
		t.Error("the signature of another executable was taken")
	}
}

func TestImagesThatAreRefused(t *testing.T) {
	put := func(b []byte, at int, v uint32) []byte {
		binary.LittleEndian.PutUint32(b[at:], v)
		return b
	}
	entry := 88 + 112 + 32
	tests := map[string][]byte{
		"nothing": nil, "text": []byte("MZ is how this text begins, but it is none of those that Windows starts"),
		"short": tiny(false)[:100], "no PE": put(tiny(false), 64, 0), "header far away": put(tiny(false), 60, 1<<30), "header at 0": put(tiny(false), 60, 0),
		"other magic": put(tiny(false), 88, 0x107), "few directories": put(tiny(false), 88+108, 4), "many directories": put(tiny(false), 88+108, 1<<20),
		"table past the end": put(put(tiny(false), entry, 504), entry+4, 16), "table before the end": put(put(tiny(false), entry, 496), entry+4, 8),
		"table in the header": put(put(tiny(false), entry, 0), entry+4, 512), "table at an odd place": put(put(tiny(false), entry, 501), entry+4, 11),
		"length overflows": put(put(tiny(false), entry, 0xfffffff8), entry+4, 0xffffffff), "empty table": put(put(tiny(false), entry, 504), entry+4, 8),
	}
	for name, b := range tests {
		if _, err := verify(b); err == nil || errors.Is(err, ErrUnsigned) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, pe32 := range []bool{true, false} {
		if _, err := verify(tiny(pe32)); !errors.Is(err, ErrUnsigned) {
			t.Errorf("a small image: %v", err)
		}
	}
}

// A signature that would keep a decoder busy is refused at once.
func TestDeepNestingIsRefused(t *testing.T) {
	deep := bytes.Repeat([]byte{0x30, 0x80}, maxSignature/4)
	nested := []byte{0x05, 0x00}
	for len(nested) < 120 {
		nested = append([]byte{0x30, byte(len(nested))}, nested...)
	}
	for name, b := range map[string][]byte{"endless": deep, "deep": nested, "cut": {0x30, 5, 1}, "long": {0x30, 0x82, 0, 1, 0}, "high tag": {0x1f, 0x81, 1, 0}, "end of contents": {0, 0}} {
		if checkDER(b, 0) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := checkDER([]byte{0x30, 3, 0x02, 1, 5}, 0); err != nil {
		t.Error(err)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(tiny(true), []byte{0x30, 0x80})
	f.Add(tiny(false), []byte{0x30, 0x00})
	if _, err := exec.LookPath("osslsigncode"); err == nil {
		a := newAuthority(f, x509.ExtKeyUsageCodeSigning)
		signed := a.sign(f, real(f), "sha256")
		if img, err := parse(bytes.NewReader(signed), int64(len(signed))); err == nil {
			f.Add(tiny(false), signed[img.table+8:])
		}
	}
	f.Fuzz(func(t *testing.T, image, message []byte) {
		_, _ = verify(image)
		// The same image with a table that holds the message.
		if len(image) < 300 || len(message) > maxSignature/2 {
			return
		}
		table := make([]byte, 8, 16+len(message))
		binary.LittleEndian.PutUint32(table, uint32(8+len(message)))
		binary.LittleEndian.PutUint16(table[4:], 0x0200)
		binary.LittleEndian.PutUint16(table[6:], 2)
		table = append(table, message...)
		table = append(table, make([]byte, (8-len(table)%8)%8)...)
		b := append(bytes.Clone(image), make([]byte, (8-len(image)%8)%8)...)
		img, err := parse(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		binary.LittleEndian.PutUint32(b[img.entry:], uint32(len(b)))
		binary.LittleEndian.PutUint32(b[img.entry+4:], uint32(len(table)))
		if s, err := verify(append(b, table...)); err == nil && s.Signer == nil {
			t.Error("a signature of nobody")
		}
	})
}
