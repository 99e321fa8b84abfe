package main

import (
	"context"
	"os"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/local"
	"github.com/go-shipper/shipper/transport/winrm"
)

// dialer reaches the hosts of a target. Secrets are read when the first host
// is dialled, so that verbs which touch no host need none.
func dialer(t config.Transport) pipeline.Dialer {
	if t.Type == "local" {
		return dialLocal(t)
	}
	return func(ctx context.Context, h config.Host) (transport.Conn, error) {
		user, err := credential(t.User, "transport.user")
		if err != nil {
			return nil, err
		}
		password, err := credential(t.Password, "transport.password")
		if err != nil {
			return nil, err
		}
		port := t.Port
		if h.Port != 0 {
			port = h.Port
		}
		return winrm.Dial(ctx, winrm.Config{
			Host: h.Name, Address: h.Address, Port: port, HTTPS: t.HTTPS, Auth: t.Auth,
			User: user, Password: password, CAFile: t.CA, Insecure: t.Insecure, DialTimeout: t.Timeout,
		})
	}
}

// credential resolves a value that may be a reference.
func credential(value, key string) (string, error) {
	if !config.IsRef(value) {
		return value, nil
	}
	secret, err := config.Resolve(value, os.LookupEnv, os.ReadFile)
	if err != nil {
		return "", problem.Wrap(problem.Usage, err, "resolve "+key, "set the variable, or name the right file in shipper.yaml")
	}
	return secret, nil
}

func dialLocal(config.Transport) pipeline.Dialer {
	return func(ctx context.Context, h config.Host) (transport.Conn, error) {
		return local.Dial(ctx, local.Config{Host: h.Name})
	}
}
