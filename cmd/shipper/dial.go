package main

import (
	"context"
	"os"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/local"
	"github.com/go-shipper/shipper/transport/ssh"
	"github.com/go-shipper/shipper/transport/winrm"
)

// dialer reaches the hosts of a target. Secrets are read before each logon:
// verbs which touch no host need none, and they may change during a run.
func dialer(t config.Transport) pipeline.Dialer {
	if t.Type == "local" {
		return dialLocal(t)
	}
	if t.Type == "ssh" {
		return dialSSH(t)
	}
	logons := &winrm.Logons{} // of all hosts
	return func(ctx context.Context, h config.Host) (transport.Conn, error) {
		cfg := winrmConfig(t, h)
		cfg.Credentials, cfg.Logons = func(context.Context) (winrm.Credentials, error) { return logon(t) }, logons
		return winrm.Dial(ctx, cfg)
	}
}

// armed tells whether there is all that logging on takes. Credentials are read
// again for each logon.
func armed(t config.Transport) func() error {
	return func() (err error) {
		switch t.Type {
		case "winrm":
			_, err = logon(t)
		case "ssh":
			err = sshLogon(t, &ssh.Config{})
		}
		return err
	}
}

// winrmConfig is how a host is reached, without who logs on.
func winrmConfig(t config.Transport, h config.Host) winrm.Config {
	port, pin := t.Port, t.Fingerprint
	if h.Port != 0 {
		port = h.Port
	}
	if h.Fingerprint != "" {
		pin = h.Fingerprint
	}
	return winrm.Config{
		Host: h.Name, Address: h.Address, Port: port, HTTPS: t.HTTPS, Auth: t.Auth, Service: service(t.SPN, h),
		CAFile: t.CA, Fingerprint: pin, Insecure: t.Insecure, Proxy: proxy(t.Proxy), DialTimeout: t.Timeout,
	}
}

// triage looks at hosts of WinRM from outside; other ways say enough.
func triage(t config.Transport) func(context.Context, config.Host) []transport.Symptom {
	return func(ctx context.Context, h config.Host) []transport.Symptom {
		if t.Type != "winrm" {
			return nil
		}
		return winrm.Triage(ctx, winrmConfig(t, h))
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
