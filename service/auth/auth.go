// Package auth lets requests in by JSON Web Tokens: it verifies the bearer
// token, puts the identity into the request's context, and checks roles.
package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ErrToken says that a token proves nothing: malformed, of another issuer or
// audience, not of this time, or not signed by a known key.
var ErrToken = errors.New("invalid token")

// maxToken bounds what is looked at.
const maxToken = 16 << 10

// Options of a Verifier. Issuer, Audience, Algorithms and Keys are needed.
type Options struct {
	Issuer   string // of the tokens, exactly; needed
	Audience string // one of the tokens', exactly; needed
	// Algorithms that are accepted, as "RS256", "ES256", "EdDSA"; never "none".
	// The token does not choose: a key is only used with an algorithm that is
	// named here and that the key is for.
	Algorithms []string
	Keys       Keys
	// Roles is where a token lists roles, with dots between the names of
	// objects: "realm_access.roles". The value is a list, or a text with spaces
	// between. Empty is "roles".
	Roles string
	// Leeway for clocks that differ; 0 is 30 s.
	Leeway time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Keys finds the key that a token was signed with.
type Keys interface {
	// Key returns an *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey, or
	// []byte for HMAC. Tokens without a key id have an empty one.
	Key(ctx context.Context, id, algorithm string) (any, error)
}

// Identity is who a token speaks of.
type Identity struct {
	Subject string   // never empty
	Roles   []string // by Options.Roles
	Expires time.Time
	Claims  map[string]any // all that the token says
}

// Has reports whether the identity has one of the roles.
func (i Identity) Has(roles ...string) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(i.Roles, r) })
}

// Verifier verifies tokens. Safe for concurrent use.
type Verifier struct {
	o      Options
	parser *jwt.Parser
}

// New refuses options that would let in what nobody meant.
func New(o Options) (*Verifier, error) {
	if o.Issuer == "" || o.Audience == "" || o.Keys == nil || len(o.Algorithms) == 0 {
		return nil, errors.New("verify tokens: issuer, audience, algorithms and keys are needed")
	}
	for _, name := range o.Algorithms {
		if jwt.GetSigningMethod(name) == nil || strings.EqualFold(name, "none") {
			return nil, fmt.Errorf("verify tokens: there is no algorithm %q", name)
		}
	}
	if o.Roles == "" {
		o.Roles = "roles"
	}
	if o.Leeway == 0 {
		o.Leeway = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Verifier{o: o, parser: jwt.NewParser(
		jwt.WithValidMethods(o.Algorithms), jwt.WithIssuer(o.Issuer), jwt.WithAudience(o.Audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(o.Leeway), jwt.WithTimeFunc(o.Now))}, nil
}

// Verify reads a token. Errors are ErrToken, or that keys could not be had.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	if len(token) > maxToken {
		return Identity{}, fmt.Errorf("%w: %d bytes", ErrToken, len(token))
	}
	claims := jwt.MapClaims{}
	_, err := v.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		return v.o.Keys.Key(ctx, id, t.Method.Alg())
	})
	var away *KeysError
	if errors.As(err, &away) {
		return Identity{}, away
	}
	if err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	id := Identity{Claims: claims, Roles: rolesAt(claims, strings.Split(v.o.Roles, "."))}
	id.Subject, _ = claims.GetSubject()
	if at, err := claims.GetExpirationTime(); err == nil {
		id.Expires = at.Time
	}
	if id.Subject == "" {
		return Identity{}, fmt.Errorf("%w: it has no subject", ErrToken)
	}
	return id, nil
}

func rolesAt(claims map[string]any, path []string) []string {
	for _, name := range path[:len(path)-1] {
		claims, _ = claims[name].(map[string]any)
	}
	switch v := claims[path[len(path)-1]].(type) {
	case string:
		return strings.Fields(v)
	case []any:
		var roles []string
		for _, r := range v {
			if s, ok := r.(string); ok {
				roles = append(roles, s)
			}
		}
		return roles
	}
	return nil
}

// KeysError says that keys could not be had, and why: no fault of the token.
type KeysError struct{ Err error }

func (e *KeysError) Error() string { return "fetch keys: " + e.Err.Error() }

// Unwrap is the reason.
func (e *KeysError) Unwrap() error { return e.Err }
