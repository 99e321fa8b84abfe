package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

type identityKey struct{}

// From is the identity of the request that ctx belongs to.
func From(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(identityKey{}).(Identity)
	return id, ok
}

// Handler lets requests with a good bearer token in, with their Identity in the
// context. Others get 401, or 503 if keys could not be had, and no reason that
// would help to forge one.
func (v *Verifier) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := bearer(r.Header)
		if !ok {
			refuse(w, http.StatusUnauthorized, `Bearer`)
			return
		}
		id, err := v.Verify(r.Context(), token)
		switch {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identityKey{}, id)))
		case errors.Is(err, ErrToken):
			refuse(w, http.StatusUnauthorized, `Bearer error="invalid_token"`)
		default:
			refuse(w, http.StatusServiceUnavailable, "")
		}
	})
}

// bearer takes one Authorization header, of the scheme in any case.
func bearer(h http.Header) (string, bool) {
	all := h["Authorization"]
	if len(all) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(all[0], " ")
	token = strings.TrimSpace(token)
	return token, ok && token != "" && strings.EqualFold(scheme, "Bearer")
}

func refuse(w http.ResponseWriter, status int, challenge string) {
	if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	http.Error(w, strings.ToLower(http.StatusText(status)), status)
}

// Require lets only identities in that have one of the roles; others get 403.
// It stands behind a Verifier's Handler: without an identity it is 401.
func Require(next http.Handler, roles ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := From(r.Context())
		switch {
		case !ok:
			refuse(w, http.StatusUnauthorized, "Bearer")
		case !id.Has(roles...):
			refuse(w, http.StatusForbidden, `Bearer error="insufficient_scope"`)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
