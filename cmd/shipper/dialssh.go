package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/ssh"
)

// dialSSH reaches hosts over OpenSSH. Secrets are read before each logon.
func dialSSH(t config.Transport) pipeline.Dialer {
	return func(ctx context.Context, h config.Host) (transport.Conn, error) {
		cfg := ssh.Config{
			Host: h.Name, Address: h.Address, Port: t.Port, KnownHosts: t.SSH.KnownHosts, Fingerprint: t.SSH.HostKey, DialTimeout: t.Timeout,
		}
		if h.Port != 0 {
			cfg.Port = h.Port
		}
		if h.HostKey != "" {
			cfg.Fingerprint = h.HostKey
		}
		if err := sshLogon(t, &cfg); err != nil {
			return nil, err
		}
		return ssh.Dial(ctx, cfg)
	}
}

// sshLogon fills in who logs on, and what else lies with the user.
func sshLogon(t config.Transport, cfg *ssh.Config) (err error) {
	for _, ref := range []struct {
		to         *string
		value, key string
	}{
		{&cfg.User, t.User, "transport.user"}, {&cfg.Password, t.Password, "transport.password"},
		{&cfg.Passphrase, t.SSH.Passphrase, "transport.ssh.passphrase"},
	} {
		if *ref.to, err = credential(ref.value, ref.key); err != nil {
			return err
		}
	}
	if cfg.Key, err = sshKey(t.SSH.Key); err != nil {
		return err
	}
	if t.SSH.Agent {
		if cfg.Agent = os.Getenv("SSH_AUTH_SOCK"); cfg.Agent == "" {
			return problem.New(problem.Usage, "start one with ssh-agent, or leave out transport.ssh.agent", "ask the authentication agent: SSH_AUTH_SOCK is not set")
		}
	}
	if cfg.KnownHosts == "" && cfg.Fingerprint == "" {
		if home, err := os.UserHomeDir(); err == nil {
			cfg.KnownHosts = filepath.Join(home, ".ssh", "known_hosts")
		}
	}
	return nil
}

// sshKey is the text of the private key.
func sshKey(value string) ([]byte, error) {
	if value == "" {
		return nil, nil
	}
	if config.IsRef(value) {
		text, err := credential(value, "transport.ssh.key")
		return []byte(text + "\n"), err // environments lose the last line end
	}
	text, err := os.ReadFile(value)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "read private key", "transport.ssh.key names the file")
	}
	return text, nil
}
