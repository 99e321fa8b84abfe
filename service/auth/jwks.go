package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	maxKeySet   = 1 << 20 // bytes
	maxKeys     = 100
	keysFresh   = time.Hour      // fetched again after
	keysStale   = 24 * time.Hour // not used any more after, if they cannot be fetched
	keysPatient = time.Minute    // between two fetches, whatever ids tokens invent
	keysTimeout = 10 * time.Second
)

// JWKS is the key set of an issuer, fetched from a URL when it is needed: at
// first, after an hour, and when a token has an unknown key id, but never more
// often than each minute. While the issuer is away the keys serve for a day.
type JWKS struct {
	url    string
	client *http.Client
	now    func() time.Time

	fetching sync.Mutex // one at a time, above mu
	tried    time.Time  // under fetching
	why      error      // the last fetch failed; under fetching

	mu   sync.RWMutex
	keys map[string]jwk
	at   time.Time // of keys
}

// jwk is a key with the algorithm it is for; empty: any that fits.
type jwk struct {
	algorithm string
	key       any
}

// NewJWKS fetches nothing yet. The address is https, or http to this machine. A
// nil client is one with a timeout of 10 s.
func NewJWKS(address string, client *http.Client) (*JWKS, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	local := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return nil, fmt.Errorf("key set: %s is not https", address)
	}
	if client == nil {
		client = &http.Client{Timeout: keysTimeout}
	}
	return &JWKS{url: address, client: client, now: time.Now}, nil
}

// Key finds the key of the id. Errors are ErrNoKey and *KeysError.
func (s *JWKS) Key(ctx context.Context, id, algorithm string) (any, error) {
	key, found, age := s.find(id)
	if !found || age > keysFresh {
		err := s.fetch(ctx)
		if key, found, age = s.find(id); err != nil && (!found || age > keysStale) {
			return nil, &KeysError{err}
		}
	}
	if !found || key.algorithm != "" && key.algorithm != algorithm || !fits(key.key, algorithm) {
		return nil, fmt.Errorf("%w: %q for %s", ErrNoKey, id, algorithm)
	}
	return key.key, nil
}

func (s *JWKS) find(id string) (jwk, bool, time.Duration) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	key, found := s.keys[id]
	return key, found, s.now().Sub(s.at)
}

// fetch does nothing but tell the last error if it was tried just now.
func (s *JWKS) fetch(ctx context.Context) error {
	s.fetching.Lock()
	defer s.fetching.Unlock()
	if !s.tried.IsZero() && s.now().Sub(s.tried) < keysPatient {
		return s.why
	}
	keys, err := s.get(context.WithoutCancel(ctx))
	s.tried, s.why = s.now(), err
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys, s.at = keys, s.now()
	return nil
}

func (s *JWKS) get(ctx context.Context) (map[string]jwk, error) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", s.url, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet))
	if err != nil {
		return nil, err
	}
	return parseKeySet(b)
}

type rawKey struct {
	Kty, Kid, Use, Alg, Crv string
	N, E, X, Y              string
}

// parseKeySet reads RFC 7517, and passes over keys that are not for signatures
// or of a kind that it does not know.
func parseKeySet(b []byte) (map[string]jwk, error) {
	var set struct{ Keys []rawKey }
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("read key set: %d keys", len(set.Keys))
	}
	keys := map[string]jwk{}
	for _, raw := range set.Keys {
		if key, err := raw.public(); err == nil && raw.Use != "enc" {
			keys[raw.Kid] = jwk{raw.Alg, key}
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("read key set: there is no key for signatures")
	}
	return keys, nil
}

func (k rawKey) public() (any, error) {
	switch k.Kty {
	case "RSA":
		n, err1 := number(k.N)
		e, err2 := number(k.E)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		if e.BitLen() > 31 || e.Int64() < 3 || e.Bit(0) == 0 {
			return nil, errors.New("unusual exponent")
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
	case "EC":
		return k.ellipticCurve()
	case "OKP":
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		if err != nil || k.Crv != "Ed25519" || len(x) != ed25519.PublicKeySize {
			return nil, errors.New("no Ed25519 key")
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, fmt.Errorf("unknown kind %q", k.Kty)
}

func (k rawKey) ellipticCurve() (any, error) {
	curve, ok := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Crv]
	if !ok {
		return nil, fmt.Errorf("unknown curve %q", k.Crv)
	}
	x, err1 := base64.RawURLEncoding.DecodeString(k.X)
	y, err2 := base64.RawURLEncoding.DecodeString(k.Y)
	if size := (curve.Params().BitSize + 7) / 8; err1 != nil || err2 != nil || len(x) != size || len(y) != size {
		return nil, errors.New("coordinates of another length")
	}
	return ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...)) // refuses points beside the curve
}

func number(s string) (*big.Int, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return new(big.Int).SetBytes(b), err
}
