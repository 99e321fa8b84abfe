package main

import (
	"context"
	"errors"
	"net/http"
	"os"

	"github.com/go-shipper/shipper/service"
	"github.com/go-shipper/shipper/service/auth"
	"github.com/go-shipper/shipper/service/certs"
	"github.com/go-shipper/shipper/service/consul"
	"github.com/go-shipper/shipper/service/secrets"
)

// openDoors decides who may come in, and how: with a token, over TLS.
func (a *app) openDoors() error {
	a.lock = func(next http.Handler) http.Handler { return next }
	if a.issuer != "" {
		keys, err := auth.NewJWKS(a.issuer+"/.well-known/jwks.json", nil)
		if err != nil {
			return err
		}
		v, err := auth.New(auth.Options{Issuer: a.issuer, Audience: "orders", Algorithms: []string{"RS256", "ES256", "EdDSA"}, Keys: keys})
		if err != nil {
			return err
		}
		a.lock = func(next http.Handler) http.Handler { return v.Handler(auth.Require(next, "orders")) }
	}
	if a.cert == "" {
		return nil
	}
	c, err := certs.Open(certs.Options{Cert: a.cert, Key: a.key})
	a.tls = c
	a.use(service.WithPart(c))
	return err
}

// joinConsul lets others find the service.
func (a *app) joinConsul() error {
	if os.Getenv("CONSUL_HTTP_ADDR") == "" {
		return nil
	}
	token, err := secrets.Resolver{}.Get(context.Background(), a.consulToken)
	if err != nil && !errors.Is(err, secrets.ErrMissing) {
		return err
	}
	a.use(service.WithPart(consul.New(consul.Options{Endpoint: a.listen, Token: token.Reveal(), Tags: []string{"http"}})))
	return nil
}
