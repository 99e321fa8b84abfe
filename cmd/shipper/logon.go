package main

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/transport/winrm"
)

// logon reads what a host is shown: references, and the files that the
// configuration names.
func logon(t config.Transport) (c winrm.Credentials, err error) {
	c.Realm = t.Realm
	if c.User, err = credential(t.User, "transport.user"); err != nil {
		return c, err
	}
	if c.Password, err = credential(t.Password, "transport.password"); err != nil {
		return c, err
	}
	switch t.Auth {
	case winrm.AuthKerberos:
		err = kerberosFiles(t, &c)
	case winrm.AuthCertificate:
		if c.Certificate, err = secretFile(t.ClientCert, "transport.clientCert"); err != nil {
			return c, err
		}
		if config.IsRef(t.ClientKey) {
			var key string
			key, err = credential(t.ClientKey, "transport.clientKey")
			c.Key = []byte(key)
		} else {
			c.Key, err = secretFile(t.ClientKey, "transport.clientKey")
		}
	}
	return c, err
}

func kerberosFiles(t config.Transport, c *winrm.Credentials) (err error) {
	if c.KerberosConfig, err = krb5Config(t.Krb5Config); err != nil {
		return err
	}
	switch {
	case t.Password != "":
	case t.Keytab != "":
		c.Keytab, err = secretFile(t.Keytab, "transport.keytab")
	case t.CCache == "" && runtime.GOOS == "windows": // Windows keeps the tickets itself
	default:
		path := t.CCache
		if path == "" {
			path = defaultCache()
		}
		c.CCache, err = secretFile(path, "transport.ccache")
	}
	return err
}

func secretFile(path, key string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "read "+key, "name the right file in shipper.yaml, or log on first (kinit)")
	}
	return b, nil
}

// krb5Config is the named file, or that of the system, which need not exist.
func krb5Config(path string) ([]byte, error) {
	if path != "" {
		return secretFile(path, "transport.krb5Config")
	}
	if path = os.Getenv("KRB5_CONFIG"); path == "" {
		path = "/etc/krb5.conf"
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// defaultCache is where kinit leaves its tickets.
func defaultCache() string {
	if name := os.Getenv("KRB5CCNAME"); name != "" {
		return strings.TrimPrefix(name, "FILE:")
	}
	return "/tmp/krb5cc_" + strconv.Itoa(os.Getuid())
}

// service is what a host is called in its domain.
func service(spn string, h config.Host) string {
	if spn == "" {
		spn = "HTTP"
	}
	if !strings.Contains(spn, "/") {
		spn += "/{address}"
	}
	return strings.NewReplacer("{address}", h.Address, "{name}", h.Name).Replace(spn)
}

// proxy finds the way to a host; nil is the direct one.
func proxy(setting string) func(*url.URL) (*url.URL, error) {
	switch setting {
	case "":
		return nil
	case "env":
		return func(target *url.URL) (*url.URL, error) { return http.ProxyFromEnvironment(&http.Request{URL: target}) }
	}
	return func(*url.URL) (*url.URL, error) {
		address, err := credential(setting, "transport.proxy")
		if err != nil {
			return nil, err
		}
		u, err := url.Parse(address)
		if err != nil {
			return nil, errors.New("transport.proxy is no address") // the error would show it
		}
		return u, nil
	}
}
