package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Resource is what Windows shows of the executables: version, maker, icon.
type Resource struct {
	Skip        bool   `yaml:"skip" json:"skip,omitempty"` // leave the executables as the compiler made them
	Company     string `yaml:"company" json:"company,omitempty"`
	Product     string `yaml:"product" json:"product,omitempty"` // default: the service's name
	Description string `yaml:"description" json:"description,omitempty"`
	Copyright   string `yaml:"copyright" json:"copyright,omitempty"`
	Icon        string `yaml:"icon" json:"icon,omitempty"` // .ico
}

// Sign says how executables get their Authenticode signature: by osslsigncode
// with a certificate, or by a command of the user's.
type Sign struct {
	Certificate string   `yaml:"certificate"` // PEM, with its chain
	Key         string   `yaml:"key"`         // PEM
	PKCS12      string   `yaml:"pkcs12"`      // instead of both
	Password    string   `yaml:"password"`    // a reference
	Timestamp   string   `yaml:"timestamp"`   // RFC 3161 server
	Command     []string `yaml:"command"`     // {{.File}} is signed in place
}

// IsZero reports that nothing is signed.
func (s Sign) IsZero() bool {
	return s.Certificate == "" && s.Key == "" && s.PKCS12 == "" && len(s.Command) == 0
}

// Attest says whose key vouches for bundles.
type Attest struct {
	Key        string   `yaml:"key"`        // file, or a reference to the key itself
	Passphrase string   `yaml:"passphrase"` // a reference
	Successors []string `yaml:"successors"` // public keys that hosts may trust from now on
}

// Trust says whose bundles an environment takes.
type Trust struct {
	Keys     []string `yaml:"keys"`     // files with public keys
	Required bool     `yaml:"required"` // refuse bundles that nobody signed
}

func (t *Trust) setDefaults() { t.Required = true }

func (c *checker) signatures() {
	c.sign()
	c.attest()
	for i, key := range c.t.Trust.Keys {
		c.fileName(fmt.Sprintf("trust.keys[%d]", i), key)
	}
}

func (c *checker) sign() {
	s := c.t.Sign
	switch {
	case len(s.Command) > 0 && (s.Certificate != "" || s.Key != "" || s.PKCS12 != "" || s.Timestamp != ""):
		c.problem("sign.command", "remove command, or the other keys", "`sign.command` signs by itself: certificate, key, pkcs12 and timestamp mean nothing beside it")
	case s.PKCS12 != "" && (s.Certificate != "" || s.Key != ""):
		c.problem("sign.pkcs12", "remove pkcs12, or certificate and key", "`sign.pkcs12` holds certificate and key already")
	case (s.Certificate != "") != (s.Key != ""):
		c.problem("sign", "name both, or pkcs12", "`sign.certificate` and `sign.key` belong together")
	case s.IsZero() && (s.Password != "" || s.Timestamp != ""):
		c.problem("sign", "add certificate and key, pkcs12 or command", "`sign` names nothing to sign with")
	}
	if s.Password != "" {
		c.secret("sign.password", s.Password)
	}
	if u, err := url.Parse(s.Timestamp); s.Timestamp != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		c.problem("sign.timestamp", "write the address of a server, like http://timestamp.example.com", "`sign.timestamp`: %q is no address", shorten(s.Timestamp))
	}
	for i, arg := range s.Command {
		if hasRef(arg) {
			c.problem(fmt.Sprintf("sign.command[%d]", i), "put it under sign.password; the command finds it in SHIPPER_SIGN_PASSWORD",
				"`sign.command`: a secret must not stand in arguments")
		}
	}
}

func (c *checker) attest() {
	a := c.t.Attest
	if a.Key == "" && (a.Passphrase != "" || len(a.Successors) > 0) {
		c.problem("attest", "add key: release.key; `shipper keygen` makes one", "`attest.key` is missing")
	}
	if hasRef(a.Key) {
		c.reference("attest.key", a.Key)
	}
	if strings.Contains(a.Key, "PRIVATE KEY") {
		c.problem("attest.key", "write a path, or ${env:NAME} that holds the key", "`attest.key`: a private key must not stand in the file")
	}
	if a.Passphrase != "" {
		c.secret("attest.passphrase", a.Passphrase)
	}
	for i, key := range a.Successors {
		c.fileName(fmt.Sprintf("attest.successors[%d]", i), key)
	}
}

// secret reports what is written out instead of referred to.
func (c *checker) secret(path, value string) {
	if !IsRef(value) {
		c.problem(path, "write ${env:NAME} or ${file:PATH}", "`%s`: a secret must not stand in the file", path)
		return
	}
	c.reference(path, value)
}

func (c *checker) fileName(path, name string) {
	if name == "" || hasRef(name) {
		c.problem(path, "write the path of a file", "`%s` is no path", path)
	}
}

// signFiles are the files that a build needs to sign and to vouch.
func (d *decoder) signFiles(t *Target) {
	d.regular("build.resource.icon", t.Build.Resource.Icon)
	d.regular("sign.certificate", t.Sign.Certificate)
	d.regular("sign.key", t.Sign.Key)
	d.regular("sign.pkcs12", t.Sign.PKCS12)
	if !IsRef(t.Attest.Key) {
		d.regular("attest.key", t.Attest.Key)
	}
	for i, key := range t.Attest.Successors {
		d.regular(fmt.Sprintf("attest.successors[%d]", i), key)
	}
	d.trustFiles(t)
}

func (d *decoder) trustFiles(t *Target) {
	for i, key := range t.Trust.Keys {
		d.regular(fmt.Sprintf("trust.keys[%d]", i), key)
	}
}

// absoluteSign makes the paths independent of the working folder.
func (t *Target) absoluteSign(dir string) {
	for _, p := range []*string{&t.Build.Resource.Icon, &t.Sign.Certificate, &t.Sign.Key, &t.Sign.PKCS12} {
		*p = join(dir, *p)
	}
	if IsRef(t.Attest.Key) {
		t.Attest.Key = absoluteRef(dir, t.Attest.Key)
	} else {
		t.Attest.Key = join(dir, t.Attest.Key)
	}
	t.Sign.Password = absoluteRef(dir, t.Sign.Password)
	t.Attest.Passphrase = absoluteRef(dir, t.Attest.Passphrase)
	t.Attest.Successors = joinAll(dir, t.Attest.Successors)
	t.Trust.Keys = joinAll(dir, t.Trust.Keys)
}

// joinAll leaves the list of the file as it is.
func joinAll(dir string, paths []string) []string {
	paths = slices.Clone(paths)
	for i := range paths {
		paths[i] = join(dir, paths[i])
	}
	return paths
}
