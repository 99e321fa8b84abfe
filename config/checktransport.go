package config

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var (
	fingerprintRule = regexp.MustCompile(`^sha256:[0-9a-fA-F]{64}$`)
	spnRule         = regexp.MustCompile(`^[A-Za-z]+(/[A-Za-z0-9._{}:-]+)?$`)
)

func (c *checker) transport() {
	t := c.t.Transport
	c.port("transport.port", t.Port)
	c.positive("transport.timeout", t.Timeout > 0)
	if t.Type == "local" {
		return
	}
	if t.Root != "" {
		c.problem("transport.root", "remove it", "`transport.root` belongs to transport local")
	}
	if t.Type == "ssh" {
		c.ssh(t)
		return
	}
	c.noSSH(t)
	c.account(t)
	c.foreign(t)
	c.encryption(t)
	c.trust(t)
	c.proxy(t.Proxy)
	if t.Auth == "kerberos" {
		c.spn(t.SPN)
	}
}

// account wants what the chosen way to log on needs.
func (c *checker) account(t Transport) {
	switch t.Auth {
	case "certificate":
		c.file("transport.clientCert", t.ClientCert, "add clientCert: deploy.pem")
		c.file("transport.clientKey", t.ClientKey, "add clientKey: deploy.key, or ${env:DEPLOY_KEY}")
		if IsRef(t.ClientKey) {
			c.reference("transport.clientKey", t.ClientKey)
		}
		return
	case "sspi":
		return
	case "kerberos":
		if c.kerberos(t) {
			return
		}
	default:
		c.password(t.Password)
	}
	if t.User == "" {
		c.problem("transport.user", `add user: Administrator, or DOMAIN\name`, "`transport.user` is missing")
	} else if hasRef(t.User) {
		c.reference("transport.user", t.User)
	}
}

// kerberos takes one secret at most, and reports whether a credential cache
// stands for user and secret.
func (c *checker) kerberos(t Transport) bool {
	given := 0
	for _, v := range []string{t.Password, t.Keytab, t.CCache} {
		if v != "" {
			given++
		}
	}
	if given > 1 {
		c.problem("transport.auth", "keep one of transport.password, transport.keytab and transport.ccache", "`transport.auth`: kerberos takes one secret")
	}
	if t.Password != "" {
		c.password(t.Password)
	}
	if strings.Contains(t.User, `\`) && t.Realm == "" && !hasRef(t.User) {
		c.problem("transport.user", "write user@REALM, or add realm: CORP.EXAMPLE.COM", "`transport.user`: Kerberos knows realms, and no NetBIOS domains")
	}
	return t.Password == "" && t.Keytab == ""
}

func (c *checker) file(path, value, hint string) {
	if value == "" {
		c.problem(path, hint, "`%s` is missing", path)
	}
}

// foreign refuses keys that mean nothing with the chosen way to log on.
func (c *checker) foreign(t Transport) {
	kerberos, secret := []string{"kerberos"}, []string{"ntlm", "basic", "kerberos"}
	for _, k := range []struct {
		key, value string
		with       []string
	}{
		{"user", t.User, secret}, {"password", t.Password, secret},
		{"realm", t.Realm, kerberos}, {"krb5Config", t.Krb5Config, kerberos}, {"keytab", t.Keytab, kerberos}, {"ccache", t.CCache, kerberos},
		{"spn", t.SPN, []string{"kerberos", "sspi"}},
		{"clientCert", t.ClientCert, []string{"certificate"}}, {"clientKey", t.ClientKey, []string{"certificate"}},
	} {
		if k.value != "" && !slices.Contains(k.with, t.Auth) {
			c.problem("transport."+k.key, "remove it, or set auth: "+strings.Join(k.with, " or "), "`transport.%s` means nothing with auth %s", k.key, t.Auth)
		}
	}
}

// spn needs names that the domain knows.
func (c *checker) spn(spn string) {
	if spn != "" && !spnRule.MatchString(spn) {
		c.problem("transport.spn", "write HTTP, WSMAN or HOST, or with a name: HTTP/{name}.corp.example.com", "`transport.spn`: %q is no service", shorten(spn))
		return
	}
	_, name, named := strings.Cut(spn, "/")
	byAddress, byName := !named || strings.Contains(name, "{address}"), strings.Contains(name, "{name}")
	if !byAddress && !byName && len(c.t.Hosts) > 1 {
		c.problem("transport.spn", "put {name} or {address} where the hosts differ", "`transport.spn`: all hosts would be one service")
	}
	for i, h := range c.t.Hosts {
		if byAddress && net.ParseIP(h.Address) != nil {
			c.problem(fmt.Sprintf("hosts[%d]", i), "write its full name in the domain, or set transport.spn: HTTP/{name}.corp.example.com",
				"`hosts[%d]`: Kerberos knows hosts by name, and %s is an IP address", i, h.Address)
		}
	}
}

func (c *checker) proxy(proxy string) {
	if proxy == "" || proxy == "env" {
		return
	}
	const hint = "write env, http://proxy.example.com:3128, or a reference to an address with its password"
	if hasRef(proxy) {
		c.reference("transport.proxy", proxy)
		return
	}
	u, err := url.Parse(proxy)
	switch {
	case strings.Contains(proxy, "@"):
		c.problem("transport.proxy", hint, "`transport.proxy`: a password must not stand in the file")
	case err != nil || u.Scheme != "http" || u.Host == "":
		c.problem("transport.proxy", hint, "`transport.proxy`: %q is no address of an HTTP proxy", shorten(proxy))
	}
}

func (c *checker) fingerprint(path, value string) {
	if value == "" {
		return
	}
	if !fingerprintRule.MatchString(value) {
		c.problem(path, "write sha256: and 64 hexadecimal digits; a failing connection tells the fingerprint it has seen", "`%s`: %q is no fingerprint", path, shorten(value))
	}
	if !c.t.Transport.HTTPS {
		c.problem(path, "remove it, or add https: true", "`%s` means nothing without https", path)
	}
}

// trust takes one way to know a host.
func (c *checker) trust(t Transport) {
	c.fingerprint("transport.fingerprint", t.Fingerprint)
	if t.Insecure && t.CA != "" {
		c.problem("transport.insecure", "remove one of the two", "`transport.insecure` and `transport.ca` exclude each other")
	}
	if t.Insecure && t.Fingerprint != "" {
		c.problem("transport.insecure", "remove one of the two", "`transport.insecure` and `transport.fingerprint` exclude each other")
	}
}

func (c *checker) password(ref string) {
	const hint = "write password: ${env:SHIPPER_PASSWORD} and set the variable where shipper runs"
	switch {
	case ref == "":
		c.problem("transport.password", hint, "`transport.password` is missing")
	case !IsRef(ref):
		c.problem("transport.password", hint, "`transport.password`: a password must not stand in the file")
	default:
		c.reference("transport.password", ref)
	}
}

// encryption refuses what would send a password in the clear, and options
// that do nothing.
func (c *checker) encryption(t Transport) {
	switch {
	case t.HTTPS:
	case t.Auth == "basic":
		c.problem("transport.auth", "add https: true, or use ntlm", "`transport.auth`: basic would send the password in the clear")
	case t.Auth == "certificate":
		c.problem("transport.auth", "add https: true", "`transport.auth`: a client certificate needs TLS")
	case t.Insecure:
		c.problem("transport.insecure", "remove it, or add https: true", "`transport.insecure` means nothing without https")
	case t.CA != "":
		c.problem("transport.ca", "remove it, or add https: true", "`transport.ca` means nothing without https")
	}
}
