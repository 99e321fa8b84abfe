package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var now = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// keys of the tests, made once: RSA takes its time.
type keys struct {
	rsa     *rsa.PrivateKey
	ec      *ecdsa.PrivateKey
	ed      ed25519.PrivateKey
	hmac    []byte
	foreign *ecdsa.PrivateKey
}

func newKeys(t *testing.T) (k keys) {
	t.Helper()
	var errs [4]error
	k.rsa, errs[0] = rsa.GenerateKey(rand.Reader, 2048)
	k.ec, errs[1] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, k.ed, errs[2] = ed25519.GenerateKey(rand.Reader)
	k.foreign, errs[3] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.hmac = []byte(strings.Repeat("k", minHMAC))
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return k
}

func good() jwt.MapClaims {
	return jwt.MapClaims{"iss": "https://id.example", "aud": []string{"orders", "other"}, "sub": "alice", "exp": now.Add(time.Hour).Unix(),
		"iat": now.Unix(), "roles": []string{"reader", "writer"}}
}

func sign(t *testing.T, method, kid string, key any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(method), claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func with(change map[string]any) jwt.MapClaims {
	c := good()
	for k, v := range change {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func verifier(t *testing.T, o Options) *Verifier {
	t.Helper()
	o.Issuer, o.Audience, o.Now = "https://id.example", "orders", func() time.Time { return now }
	v, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVerify(t *testing.T) {
	k := newKeys(t)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(t, k.rsa.Public())})
	v := verifier(t, Options{Algorithms: []string{"RS256", "ES256", "EdDSA", "HS256"},
		Keys: Static{"r": k.rsa.Public(), "e": k.ec.Public(), "d": k.ed.Public(), "h": k.hmac, "p": public}})
	tests := map[string]struct {
		token string
		good  bool
	}{
		"RS256":              {sign(t, "RS256", "r", k.rsa, good()), true},
		"ES256":              {sign(t, "ES256", "e", k.ec, good()), true},
		"EdDSA":              {sign(t, "EdDSA", "d", k.ed, good()), true},
		"HS256":              {sign(t, "HS256", "h", k.hmac, good()), true},
		"one audience":       {sign(t, "ES256", "e", k.ec, with(map[string]any{"aud": "orders"})), true},
		"within the leeway":  {sign(t, "ES256", "e", k.ec, with(map[string]any{"exp": now.Add(-20 * time.Second).Unix()})), true},
		"not pinned":         {sign(t, "RS512", "r", k.rsa, good()), false},
		"none":               {sign(t, "none", "r", jwt.UnsafeAllowNoneSignatureType, good()), false},
		"public key as HMAC": {sign(t, "HS256", "r", public, good()), false},
		"key of another alg": {sign(t, "HS256", "e", k.hmac, good()), false},
		"foreign key":        {sign(t, "ES256", "e", k.foreign, good()), false},
		"unknown key":        {sign(t, "ES256", "x", k.ec, good()), false},
		"expired":            {sign(t, "ES256", "e", k.ec, with(map[string]any{"exp": now.Add(-31 * time.Second).Unix()})), false},
		"never expires":      {sign(t, "ES256", "e", k.ec, with(map[string]any{"exp": nil})), false},
		"not yet":            {sign(t, "ES256", "e", k.ec, with(map[string]any{"nbf": now.Add(time.Minute).Unix()})), false},
		"of the future":      {sign(t, "ES256", "e", k.ec, with(map[string]any{"iat": now.Add(time.Minute).Unix()})), false},
		"other issuer":       {sign(t, "ES256", "e", k.ec, with(map[string]any{"iss": "https://id.example/"})), false},
		"other audience":     {sign(t, "ES256", "e", k.ec, with(map[string]any{"aud": "shop"})), false},
		"no audience":        {sign(t, "ES256", "e", k.ec, with(map[string]any{"aud": nil})), false},
		"nobody":             {sign(t, "ES256", "e", k.ec, with(map[string]any{"sub": nil})), false},
		"malformed":          {"a.b.c", false},
		"empty":              {"", false},
		"endless":            {strings.Repeat("a", maxToken+1), false},
	}
	for name, tt := range tests {
		id, err := v.Verify(t.Context(), tt.token)
		if tt.good && (err != nil || id.Subject != "alice" || !id.Has("writer") || id.Has("admin")) || !tt.good && !errors.Is(err, ErrToken) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	changed := []byte(tests["ES256"].token)
	for i := range changed {
		was := changed[i]
		changed[i] ^= 1
		if id, err := v.Verify(t.Context(), string(changed)); err == nil && id.Subject != "alice" {
			t.Errorf("a changed byte %d was taken: %+v", i, id)
		}
		changed[i] = was
	}
}

func must(t *testing.T, public crypto.PublicKey) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOptionsThatLetAnybodyIn(t *testing.T) {
	ok := Options{Issuer: "i", Audience: "a", Algorithms: []string{"ES256"}, Keys: Static{}}
	for name, change := range map[string]func(*Options){
		"no issuer": func(o *Options) { o.Issuer = "" }, "no audience": func(o *Options) { o.Audience = "" }, "no keys": func(o *Options) { o.Keys = nil },
		"no algorithms": func(o *Options) { o.Algorithms = nil }, "none": func(o *Options) { o.Algorithms = []string{"none"} }, "unknown": func(o *Options) { o.Algorithms = []string{"XS1"} },
	} {
		o := ok
		if change(&o); refused(o) == nil {
			t.Errorf("%s was taken", name)
		}
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip(err) // Go itself refuses it
	}
	if fits(weak.Public(), "RS256") || fits([]byte("short"), "HS256") {
		t.Error("a weak key was taken")
	}
}

func refused(o Options) error { _, err := New(o); return err }

func TestRolesOfManyIssuers(t *testing.T) {
	claims := map[string]any{"scope": "a b", "realm_access": map[string]any{"roles": []any{"c", 7.0, "d"}}}
	for path, want := range map[string]string{"scope": "a b", "realm_access.roles": "c d", "missing": "", "scope.roles": "", "realm_access": ""} {
		if got := strings.Join(rolesAt(claims, strings.Split(path, ".")), " "); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func TestHandler(t *testing.T) {
	k := newKeys(t)
	v := verifier(t, Options{Algorithms: []string{"ES256"}, Keys: Static{"": k.ec.Public()}})
	away := verifier(t, Options{Algorithms: []string{"ES256"}, Keys: keysFunc(func() (any, error) { return nil, &KeysError{errors.New("away")} })})
	token := "Bearer " + sign(t, "ES256", "", k.ec, good())
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := From(r.Context()); !ok || id.Subject != "alice" || !id.Expires.Equal(now.Add(time.Hour)) {
			t.Errorf("%+v", id)
		}
	})
	tests := map[string]struct {
		h      http.Handler
		header []string
		status int
		asks   string
	}{
		"good":          {v.Handler(inner), []string{token}, 200, ""},
		"any case":      {v.Handler(inner), []string{strings.Replace(token, "Bearer", "bearer", 1)}, 200, ""},
		"none":          {v.Handler(inner), nil, 401, "Bearer"},
		"two":           {v.Handler(inner), []string{token, token}, 401, "Bearer"},
		"basic":         {v.Handler(inner), []string{"Basic x"}, 401, "Bearer"},
		"bad":           {v.Handler(inner), []string{token + "x"}, 401, `Bearer error="invalid_token"`},
		"keys away":     {away.Handler(inner), []string{token}, 503, ""},
		"has a role":    {v.Handler(Require(inner, "admin", "writer")), []string{token}, 200, ""},
		"has no role":   {v.Handler(Require(inner, "admin")), []string{token}, 403, `Bearer error="insufficient_scope"`},
		"no verifier":   {Require(inner, "writer"), []string{token}, 401, "Bearer"},
		"no role named": {v.Handler(Require(inner)), []string{token}, 403, `Bearer error="insufficient_scope"`},
	}
	for name, tt := range tests {
		r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		r.Header["Authorization"] = tt.header
		tt.h.ServeHTTP(w, r)
		if w.Code != tt.status || w.Header().Get("WWW-Authenticate") != tt.asks {
			t.Errorf("%s: %d %q", name, w.Code, w.Header().Get("WWW-Authenticate"))
		}
	}
}

type keysFunc func() (any, error)

func (f keysFunc) Key(context.Context, string, string) (any, error) { return f() }

// issuer serves a key set that changes.
type issuer struct {
	*httptest.Server
	body  atomic.Value
	asked atomic.Int32
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.asked.Add(1)
		if b := i.body.Load().(string); b != "" {
			fmt.Fprint(w, b)
		} else {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func keySet(t *testing.T, k keys, ids ...string) string {
	t.Helper()
	all := map[string]map[string]string{
		"r": {"kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": encode(k.rsa.N.Bytes()), "e": encode(big.NewInt(int64(k.rsa.E)).Bytes())},
		"e": {"kty": "EC", "kid": "e", "crv": "P-256", "x": encode(k.ec.X.FillBytes(make([]byte, 32))), "y": encode(k.ec.Y.FillBytes(make([]byte, 32)))},
		"d": {"kty": "OKP", "kid": "d", "crv": "Ed25519", "x": encode(k.ed.Public().(ed25519.PublicKey))},
		"c": {"kty": "RSA", "kid": "c", "use": "enc", "n": encode(k.rsa.N.Bytes()), "e": "AQAB"},
		"o": {"kty": "oct", "kid": "o", "k": "c2VjcmV0"},
		"b": {"kty": "EC", "kid": "b", "crv": "P-256", "x": encode(make([]byte, 32)), "y": encode(make([]byte, 32))},
		"1": {"kty": "RSA", "kid": "1", "n": encode(k.rsa.N.Bytes()), "e": "AQ"},
	}
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	for _, id := range ids {
		set.Keys = append(set.Keys, all[id])
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestKeySetOfAnIssuer(t *testing.T) {
	k := newKeys(t)
	server := newIssuer(t)
	s, err := NewJWKS(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	clock := now
	s.now = func() time.Time { return clock }
	key := func(id, algorithm string) string {
		_, err := s.Key(t.Context(), id, algorithm)
		var away *KeysError
		switch {
		case errors.As(err, &away):
			return "away"
		case errors.Is(err, ErrNoKey):
			return "none"
		}
		return "key"
	}
	for i, step := range []struct {
		serves        string
		later         time.Duration
		id, algorithm string
		want          string
		asked         int32 // in all
	}{
		{"", 0, "r", "RS256", "away", 1},
		{keySet(t, k, "r"), 0, "r", "RS256", "away", 1}, // not again so soon
		{keySet(t, k, "r", "d", "c", "o", "b", "1"), time.Minute, "r", "RS256", "key", 2},
		{"", 0, "d", "EdDSA", "key", 2},
		{"", 0, "r", "RS512", "none", 2}, // the key is for RS256
		{"", 0, "r", "HS256", "none", 2},
		{"", 0, "c", "RS256", "none", 2},
		{"", time.Minute, "o", "HS256", "away", 3},
		{keySet(t, k, "r", "e"), time.Minute, "e", "ES256", "key", 4}, // a new key
		{keySet(t, k, "r", "e"), 0, "b", "ES256", "none", 4},
		{"", 2 * time.Hour, "e", "ES256", "key", 5}, // the issuer is away
		{"", 23 * time.Hour, "e", "ES256", "away", 6},
		{"{", time.Minute, "e", "ES256", "away", 7},
		{keySet(t, k, "c"), time.Minute, "e", "ES256", "away", 8},
		{keySet(t, k, "d"), time.Minute, "e", "ES256", "none", 9}, // revoked
	} {
		server.body.Store(step.serves)
		clock = clock.Add(step.later)
		if got := key(step.id, step.algorithm); got != step.want || server.asked.Load() != step.asked {
			t.Errorf("step %d: %s, asked %d times; want %s, %d", i, got, server.asked.Load(), step.want, step.asked)
		}
	}
}

func TestKeySetsComeSafely(t *testing.T) {
	for address, good := range map[string]bool{"https://id.example/keys": true, "http://127.0.0.1:1/": true, "http://id.example/keys": false, "ftp://x": false, ":": false} {
		if _, err := NewJWKS(address, nil); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func FuzzKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if keys, err := parseKeySet(b); err == nil && len(keys) == 0 {
			t.Error("no keys and no error")
		}
	})
}

func TestParsePEM(t *testing.T) {
	k := newKeys(t)
	b := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(t, k.ec.Public())})
	if key, err := ParsePEM(b); err != nil || !k.ec.PublicKey.Equal(key) {
		t.Errorf("%v, %v", key, err)
	}
	for _, bad := range []string{"", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----"} {
		if _, err := ParsePEM([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
