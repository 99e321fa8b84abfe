package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/go-shipper/shipper/service"
	"github.com/go-shipper/shipper/service/auth"
	"github.com/go-shipper/shipper/service/certs"
	"github.com/go-shipper/shipper/service/consul"
	"github.com/go-shipper/shipper/service/secrets"
	"github.com/go-shipper/shipper/service/trace"
)

// openDoors decides who may come in, how many, and how: with a token, over TLS.
func (a *app) openDoors() error {
	a.lock = a.rate.Handler
	if a.issuer != "" {
		keys, err := auth.NewJWKS(a.issuer+"/.well-known/jwks.json", &http.Client{Timeout: 10 * time.Second, Transport: trace.Transport(nil)})
		if err != nil {
			return err
		}
		v, err := auth.New(auth.Options{Issuer: a.issuer, Audience: "orders", Algorithms: []string{"RS256", "ES256", "EdDSA"}, Keys: keys})
		if err != nil {
			return err
		}
		a.lock = func(next http.Handler) http.Handler { return a.rate.Handler(v.Handler(auth.Require(next, "orders"))) }
	}
	if a.cert == "" {
		return nil
	}
	c, err := certs.Open(certs.Options{Cert: a.cert, Key: a.key})
	if err != nil {
		return err
	}
	a.tls = c.Config()
	a.use(service.WithPart(c), service.WithChecks(service.Check{Name: "certificate", Probe: c.CheckFor(14 * 24 * time.Hour)}))
	return nil
}

// openSecrets asks Vault, where there is one. Database credentials are kept
// alive for the database that orders would have if it did not keep a file.
func (a *app) openSecrets() error {
	address := os.Getenv("VAULT_ADDR")
	if address == "" {
		return nil
	}
	token, err := a.secrets.Get(context.Background(), "env:VAULT_TOKEN")
	if err != nil {
		return err
	}
	if a.secrets.Vault, err = secrets.NewVault(secrets.VaultOptions{Address: address, Token: token}); err != nil || a.lease == "" {
		return err
	}
	lease, err := a.secrets.Vault.Lease(context.Background(), a.lease, a.log.Logger())
	if err != nil {
		return err
	}
	lease.OnChange(func(c secrets.Credentials) {
		a.log.Logger().Info("database credentials", "username", c.Username, "expires", c.Expires)
	})
	a.use(service.WithPart(lease), service.WithChecks(service.Check{Name: "credentials", Action: service.Degrade, Probe: lease.Check}))
	return nil
}

// joinConsul lets others find the service.
func (a *app) joinConsul() error {
	if os.Getenv("CONSUL_HTTP_ADDR") == "" {
		return nil
	}
	token, err := a.secrets.Get(context.Background(), a.consulToken)
	if err != nil && !errors.Is(err, secrets.ErrMissing) {
		return err
	}
	a.use(service.WithPart(consul.New(consul.Options{Endpoint: a.listen, Token: token.Reveal(), Tags: []string{"http"}})))
	return nil
}
