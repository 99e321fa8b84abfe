package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// ErrNoKey says that no key has the id, or that the key is for another algorithm.
var ErrNoKey = errors.New("no such key")

// Static are keys by id, as Keys.Key returns them. A single one serves every id.
type Static map[string]any

// Key finds the key of the id.
func (s Static) Key(_ context.Context, id, algorithm string) (any, error) {
	key, ok := s[id]
	if !ok && len(s) == 1 {
		for _, key = range s {
		}
		ok = true
	}
	if !ok || !fits(key, algorithm) {
		return nil, fmt.Errorf("%w: %q for %s", ErrNoKey, id, algorithm)
	}
	return key, nil
}

// ParsePEM reads a public key or certificate.
func ParsePEM(b []byte) (any, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("read public key: no PEM")
	}
	if block.Type == "CERTIFICATE" {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read public key: %w", err)
		}
		return c.PublicKey, nil
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	return key, nil
}

const (
	minRSA  = 2048 // bits
	maxRSA  = 16384
	minHMAC = 32 // bytes
)

// fits reports whether a key is one for the algorithm, and strong enough.
func fits(key any, algorithm string) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		bits := k.N.BitLen()
		return (strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")) && bits >= minRSA && bits <= maxRSA
	case *ecdsa.PublicKey:
		return algorithm == map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512"}[k.Curve]
	case ed25519.PublicKey:
		return algorithm == "EdDSA" && len(k) == ed25519.PublicKeySize
	case []byte:
		return strings.HasPrefix(algorithm, "HS") && len(k) >= minHMAC
	}
	return false
}
