package attest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	mathrand "math/rand/v2"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/release"
)

func newKeys(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"ed25519": ed, "ecdsa": ec}
}

func public(t testing.TB, s crypto.Signer) Key {
	t.Helper()
	k, err := KeyOf(s.Public())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var sampleRelease = release.Release{Version: "1.4.2", Digest: release.Of([]byte("contents"))}

func sampleStatement(successors ...[]byte) Statement {
	return NewStatement(
		Claim{Service: "orders", Version: sampleRelease.Version, Release: sampleRelease.Digest, Commit: "c0ffee", Successors: successors},
		[]Subject{{Name: "manifest.json", Digest: Digest{SHA256: release.Of([]byte("m"))}}},
		[]Resource{{Name: "source", Digest: Digest{GitCommit: "c0ffee"}}, {URI: "pkg:generic/go@1.26.0"}})
}

func signed(t testing.TB, by crypto.Signer, s Statement) []byte {
	t.Helper()
	b, err := Sign(s, by)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSignAndVerify(t *testing.T) {
	for name, signer := range newKeys(t) {
		t.Run(name, func(t *testing.T) {
			key := public(t, signer)
			b := signed(t, signer, sampleStatement())
			if !bytes.Equal(b, signed(t, signer, sampleStatement())) {
				t.Error("two signatures of the same differ")
			}
			other := public(t, newKeys(t)[name])
			s, by, err := Verify(b, []Key{other, key})
			if err != nil || by.ID != key.ID || s.Covers("orders", sampleRelease) != nil {
				t.Fatalf("by %s: %v", by, err)
			}
			if !s.Names("manifest.json", release.Of([]byte("m"))) || s.Names("manifest.json", release.Of(nil)) || s.Names("x", release.Of([]byte("m"))) {
				t.Error("subjects")
			}
			if _, _, err := Verify(b, []Key{other}); !errors.Is(err, ErrUntrusted) {
				t.Errorf("by a foreign key: %v", err)
			}
			if _, id, err := Read(b); err != nil || id != key.ID {
				t.Errorf("read: %s, %v", id, err)
			}
			again, err := ParsePEM(key.PEM())
			if err != nil || again.ID != key.ID {
				t.Errorf("the key as PEM: %v", err)
			}
		})
	}
}

// Whatever is changed in an attestation, in whichever place, it is refused:
// also what JSON and base64 would not mind.
func TestEveryChangeIsRefused(t *testing.T) {
	for name, signer := range newKeys(t) {
		t.Run(name, func(t *testing.T) {
			keys := []Key{public(t, signer)}
			b := signed(t, signer, sampleStatement())
			for i := range b {
				for _, mask := range []byte{1, byte(1 + mathrand.IntN(255))} {
					bad := bytes.Clone(b)
					bad[i] ^= mask
					if _, _, err := Verify(bad, keys); err == nil {
						t.Fatalf("accepted with byte %d changed by %#x: %s", i, mask, bad)
					}
				}
				if _, _, err := Verify(b[:i], keys); err == nil {
					t.Fatalf("accepted the first %d bytes", i)
				}
			}
			for _, bad := range [][]byte{append(bytes.Clone(b), '\n'), append([]byte(" "), b...), nil, []byte("null"), []byte("{}"), bytes.Repeat([]byte(" "), MaxSize+1)} {
				if _, _, err := Verify(bad, keys); !errors.Is(err, ErrMalformed) {
					t.Errorf("%.20q: %v", bad, err)
				}
			}
		})
	}
}

// The signature is over DSSE's pre-authentication encoding, not the payload.
func TestSignatureIsDSSE(t *testing.T) {
	signer := newKeys(t)["ed25519"]
	var outer struct {
		Envelope struct {
			Payload, PayloadType string
			Signatures           []struct{ Sig string }
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(signed(t, signer, sampleStatement()), &outer); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(outer.Envelope.Payload)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := base64.StdEncoding.DecodeString(outer.Envelope.Signatures[0].Sig)
	if err != nil {
		t.Fatal(err)
	}
	message := "DSSEv1 28 application/vnd.in-toto+json " + itoa(len(payload)) + " " + string(payload)
	if !ed25519.Verify(signer.Public().(ed25519.PublicKey), []byte(message), sig) {
		t.Error("another tool would not accept it")
	}
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestStatementsOfOthersAreRefused(t *testing.T) {
	signer := newKeys(t)["ed25519"]
	for name, change := range map[string]func(*Statement){
		"type":       func(s *Statement) { s.Type = "https://in-toto.io/Statement/v0.1" },
		"predicate":  func(s *Statement) { s.PredicateType = "https://spdx.dev/Document" },
		"build type": func(s *Statement) { s.Predicate.BuildDefinition.BuildType = "x" },
	} {
		s := sampleStatement()
		change(&s)
		if _, _, err := Verify(signed(t, signer, s), []Key{public(t, signer)}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCovers(t *testing.T) {
	s := sampleStatement()
	for name, r := range map[string]release.Release{
		"digest": {Version: "1.4.2", Digest: release.Of(nil)}, "version": {Version: "1.4.3", Digest: sampleRelease.Digest}, "nothing": {},
	} {
		if s.Covers("orders", r) == nil {
			t.Errorf("other %s: covered", name)
		}
	}
	if s.Covers("billing", sampleRelease) == nil {
		t.Error("covers another service")
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]crypto.Signer{"RSA": big, "P-384": curve} {
		if _, err := KeyOf(k.Public()); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, err := Sign(sampleStatement(), k); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	good := public(t, newKeys(t)["ed25519"]).PEM()
	for _, text := range []string{"", "x", strings.ReplaceAll(string(good), "PUBLIC", "PRIVATE"), string(good) + string(good), strings.Repeat("x", maxKey+1)} {
		if _, err := ParsePEM([]byte(text)); err == nil {
			t.Errorf("%.40q: accepted", text)
		}
	}
}

func TestTrust(t *testing.T) {
	ours, theirs := newKeys(t)["ed25519"], newKeys(t)["ecdsa"]
	k := public(t, ours)
	b, foreign := signed(t, ours, sampleStatement()), signed(t, theirs, sampleStatement())
	must, may := TrustOf([]Key{k, k}, true), TrustOf([]Key{k}, false)
	if len(must.Keys) != 1 || !must.Has(k.DER) || must.Equal(may) || !TrustOf(nil, true).Equal(Trust{}) || must.IDs()[0] != k.ID {
		t.Errorf("%+v", must)
	}
	tests := map[string]struct {
		trust Trust
		b     []byte
		ok    bool
	}{
		"signed": {must, b, true}, "unsigned": {must, nil, false}, "foreign": {must, foreign, false},
		"may be signed": {may, b, true}, "may be unsigned": {may, nil, true}, "but not wrongly": {may, foreign, false}, "nor damaged": {may, b[1:], false},
		"nobody asks": {Trust{}, foreign, true}, "bad key": {Trust{Keys: [][]byte{{1}}}, b, false}, "many keys": {Trust{Keys: make([][]byte, maxKeys+1)}, b, false},
	}
	for name, tt := range tests {
		if _, err := tt.trust.Accepts("orders", sampleRelease, tt.b); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := must.Accepts("billing", sampleRelease, b); err == nil {
		t.Error("the signature for orders was accepted for billing")
	}
}

func FuzzVerify(f *testing.F) {
	signer := newKeys(f)["ed25519"]
	good := signed(f, signer, sampleStatement())
	keys := []Key{public(f, signer)}
	f.Add(good)
	f.Add([]byte(`{"mediaType":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := Verify(b, keys); err == nil && !bytes.Equal(b, good) {
			t.Errorf("accepted %q", b)
		}
	})
}
