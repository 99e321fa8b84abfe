package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// maxKey bounds a public key, in bytes of PEM or DER.
const maxKey = 4096

// Key is a public key that may vouch for releases: Ed25519, or ECDSA on P-256.
type Key struct {
	ID  string // SHA-256 of DER, in hex
	DER []byte // PKIX

	public crypto.PublicKey
}

// ParseDER reads a PKIX public key.
func ParseDER(der []byte) (Key, error) {
	if len(der) > maxKey {
		return Key{}, fmt.Errorf("public key of %d bytes", len(der))
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return Key{}, fmt.Errorf("read public key: %w", err)
	}
	return KeyOf(public)
}

// ParsePEM reads a public key as `shipper keygen` and openssl write it.
func ParsePEM(text []byte) (Key, error) {
	if len(text) > maxKey {
		return Key{}, fmt.Errorf("public key of %d bytes", len(text))
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return Key{}, errors.New("no PEM block PUBLIC KEY")
	}
	if more, _ := pem.Decode(rest); more != nil {
		return Key{}, errors.New("more than one PEM block")
	}
	return ParseDER(block.Bytes)
}

// KeyOf names a public key; of other kinds than the two it is an error.
func KeyOf(public crypto.PublicKey) (Key, error) {
	switch k := public.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return Key{}, errors.New("public key: only the curve P-256 is supported of ECDSA")
		}
	default:
		return Key{}, fmt.Errorf("public key: %T is not supported, only Ed25519 and ECDSA on P-256", public)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("encode public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return Key{ID: hex.EncodeToString(sum[:]), DER: der, public: public}, nil
}

// PEM is the key as a file.
func (k Key) PEM() []byte { return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.DER}) }

// Short is enough of the ID for people.
func (k Key) Short() string { return k.ID[:min(12, len(k.ID))] }

func (k Key) String() string { return k.Short() }

// verify checks a signature over message.
func (k Key) verify(message, sig []byte) bool {
	switch public := k.public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(public, message, sig)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(message)
		return ecdsa.VerifyASN1(public, sum[:], sig)
	}
	return false
}

// sign gives the same signature for the same message, whichever the key: the
// nonce of ECDSA follows from key and message (RFC 6979).
func sign(s crypto.Signer, message []byte) ([]byte, error) {
	if _, ok := s.Public().(ed25519.PublicKey); ok {
		return s.Sign(nil, message, crypto.Hash(0))
	}
	sum := sha256.Sum256(message)
	return s.Sign(nil, sum[:], crypto.SHA256)
}
