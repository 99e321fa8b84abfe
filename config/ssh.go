package config

import (
	"fmt"
	"regexp"
)

// SSH says how hosts are reached over OpenSSH. At least one of Key, Agent and
// the transport's password, and one of KnownHosts and HostKey.
type SSH struct {
	Key        string `yaml:"key"`        // private key file, or a reference to its text
	Passphrase string `yaml:"passphrase"` // of the key; a reference
	Agent      bool   `yaml:"agent"`      // ask the agent at SSH_AUTH_SOCK
	KnownHosts string `yaml:"knownHosts"` // file; default: known_hosts of who runs shipper
	HostKey    string `yaml:"hostKey"`    // SHA256:…, of all hosts, or of one in hosts
}

var hostKeyRule = regexp.MustCompile(`^SHA256:[A-Za-z0-9+/]{43}$`)

func (s *SSH) absolute(dir string) {
	s.KnownHosts = join(dir, s.KnownHosts)
	s.Passphrase = absoluteRef(dir, s.Passphrase)
	if s.Key = absoluteRef(dir, s.Key); !IsRef(s.Key) {
		s.Key = join(dir, s.Key)
	}
}

// ssh wants a way to log on, and refuses what only WinRM knows.
func (c *checker) ssh(t Transport) {
	if t.User == "" {
		c.problem("transport.user", `add user: Administrator, or domain\name`, "`transport.user` is missing")
	} else if hasRef(t.User) {
		c.reference("transport.user", t.User)
	}
	if t.Password != "" {
		c.password(t.Password)
	} else if t.SSH.Key == "" && !t.SSH.Agent {
		c.problem("transport.ssh", "write ssh: {key: FILE}, or {agent: true}", "`transport.ssh`: no way to log on")
	}
	if IsRef(t.SSH.Key) {
		c.reference("transport.ssh.key", t.SSH.Key)
	}
	if p := t.SSH.Passphrase; p != "" {
		if !IsRef(p) {
			c.problem("transport.ssh.passphrase", "write passphrase: ${env:KEY_PASSPHRASE}", "`transport.ssh.passphrase`: a secret must not stand in the file")
		} else {
			c.reference("transport.ssh.passphrase", p)
		}
	}
	c.hostKey("transport.ssh.hostKey", t.SSH.HostKey)
	_, auth := c.at.places["transport.auth"]
	for _, k := range []struct {
		key string
		set bool
	}{
		{"https", t.HTTPS}, {"ca", t.CA != ""}, {"insecure", t.Insecure}, {"fingerprint", t.Fingerprint != ""}, {"proxy", t.Proxy != ""},
		{"realm", t.Realm != ""}, {"spn", t.SPN != ""}, {"krb5Config", t.Krb5Config != ""}, {"keytab", t.Keytab != ""},
		{"ccache", t.CCache != ""}, {"clientCert", t.ClientCert != ""}, {"clientKey", t.ClientKey != ""}, {"auth", auth},
	} {
		if k.set {
			c.problem("transport."+k.key, "remove it, or set type: winrm", "`transport.%s` belongs to transport winrm", k.key)
		}
	}
}

func (c *checker) hostKey(path, value string) {
	if value != "" && !hostKeyRule.MatchString(value) {
		c.problem(path, "ssh-keygen -lf FILE.pub on the host tells it", "`%s`: %q is no fingerprint of a host key", path, shorten(value))
	}
}

// noSSH refuses what means nothing elsewhere.
func (c *checker) noSSH(t Transport) {
	if t.SSH != (SSH{}) {
		c.problem("transport.ssh", "remove it, or set type: ssh", "`transport.ssh` belongs to transport ssh")
	}
	for i, h := range c.t.Hosts {
		if h.HostKey != "" {
			at := fmt.Sprintf("hosts[%d].hostKey", i)
			c.problem(at, "remove it, or set type: ssh", "`%s` belongs to transport ssh", at)
		}
	}
}
