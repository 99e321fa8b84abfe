//go:build linux

package winrm

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-shipper/shipper/lab/kdctest"
	"github.com/go-shipper/shipper/lab/wsman"
	"github.com/go-shipper/shipper/lab/wsman/krb5"
	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/transporttest"
)

const (
	domainUser = "alice@" + kdctest.Realm
	domainHost = "HTTP/web1.example.test"
)

// domain is a realm with an account, and hosts that are its members.
type domain struct {
	*kdctest.KDC
	keytab string
	config []byte
}

func startDomain(t *testing.T) *domain {
	t.Helper()
	k := kdctest.Start(t, kdctest.Options{})
	k.AddUser("alice", testPassword)
	return &domain{KDC: k, keytab: k.Keytab(domainHost), config: contents(t, k.Config)}
}

func contents(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// host starts a member.
func (d *domain) host(t *testing.T, config wsman.Config) *host {
	t.Helper()
	account, err := krb5.NewService(contents(t, d.keytab))
	if err != nil {
		t.Fatal(err)
	}
	config.Kerberos = account
	return startHostAs(t, config)
}

// as makes a configuration log on by Kerberos.
func (d *domain) as(cfg Config) Config {
	cfg.Auth, cfg.Service = AuthKerberos, domainHost
	creds := Credentials{User: domainUser, Password: cfg.Password, KerberosConfig: d.config}
	cfg.Credentials = func(context.Context) (Credentials, error) { return creds, nil }
	return cfg
}

func TestContractByKerberos(t *testing.T) {
	probe := transporttest.Build(t, "", "")
	d := startDomain(t)
	h := d.host(t, wsman.Config{StrictBinding: true})
	cfg := d.as(h.http)
	transporttest.Run(t, transporttest.Host{
		Dial: func(t *testing.T) transport.Conn { return dial(t, cfg) }, Probe: probe, Temp: t.TempDir(),
	})
	if n := h.Shells(); n != 0 {
		t.Errorf("%d shells left behind", n)
	}
}

// Over HTTPS the logon is bound to the certificate; a host that offers only
// Negotiate gets the same ticket that way.
func TestKerberosElsewhere(t *testing.T) {
	d := startDomain(t)
	strict, negotiate := d.host(t, wsman.Config{StrictBinding: true}), d.host(t, wsman.Config{Schemes: []string{"Negotiate"}})
	for name, cfg := range map[string]Config{"https": strict.https, "http, Negotiate only": negotiate.http, "https, Negotiate only": negotiate.https} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, d.as(cfg))
			defer c.Close()
			for range 3 {
				if r, err := c.Run(t.Context(), "cat; exit 3", strings.NewReader("input")); err != nil || r.Exit != 3 || string(r.Stdout) != "input" {
					t.Errorf("%+v, %v", r, err)
				}
			}
		})
	}
	if n := strict.asked.Load() + negotiate.asked.Load(); n != 0 {
		t.Errorf("the hosts were asked for a password %d times", n)
	}
}

func TestKerberosTravelsSealed(t *testing.T) {
	d := startDomain(t)
	r := startRelay(t, d.host(t, wsman.Config{}).http.Port)
	cfg := d.as(Config{Host: "web1", Address: "127.0.0.1", Password: testPassword})
	cfg.Port = r.port()
	c := dial(t, cfg)
	if _, err := c.Run(t.Context(), "echo visible-$((6*7))", strings.NewReader("input")); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !bytes.Contains(r.said, []byte("HTTP-Kerberos-session-encrypted")) {
		t.Error("nothing was sealed")
	}
	for _, secret := range []string{"visible-", testPassword, "shell/cmd", "CommandLine", "Negotiate"} {
		if bytes.Contains(r.said, []byte(secret)) {
			t.Errorf("%q is on the wire", secret)
		}
	}
}

func TestKerberosRefusals(t *testing.T) {
	d := startDomain(t)
	h := d.host(t, wsman.Config{})
	other := *d
	other.keytab = d.Keytab("HTTP/other.example.test")
	foreign := other.host(t, wsman.Config{})
	outside, without := startHost(t, wsman.Limits{}), startHostAs(t, wsman.Config{Schemes: []string{"Basic"}})
	cases := []struct {
		name   string
		base   Config
		change func(*Credentials, *Config)
		kind   transport.Kind
		hint   string
	}{
		{"wrong password", h.http, func(c *Credentials, _ *Config) { c.Password = "wrong" }, transport.Denied, hintKerberosPassword},
		{"unknown user", h.http, func(c *Credentials, _ *Config) { c.User = "bob@" + kdctest.Realm }, transport.Denied, hintKerberosPassword},
		{"no realm", h.http, func(c *Credentials, _ *Config) { c.User, c.KerberosConfig = "alice", nil }, transport.Denied, hintRealm},
		{"unknown service", h.http, func(_ *Credentials, c *Config) { c.Service = "HTTP/nowhere.example.test" }, transport.Denied, hintService},
		{"a host with another key", foreign.http, func(*Credentials, *Config) {}, transport.Denied, hintService},
		{"a host outside of the domain", outside.http, func(*Credentials, *Config) {}, transport.Denied, hintTicketRefused},
		{"a host that takes Basic only", without.https, func(*Credentials, *Config) {}, transport.Denied, hintNoKerberos},
		{"nobody gives tickets", h.http, func(c *Credentials, _ *Config) {
			c.KerberosConfig = []byte("[realms]\n " + kdctest.Realm + " = {\n  kdc = 127.0.0.1:1\n }\n")
		}, transport.Unreachable, hintKDC},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := d.as(c.base)
			creds, err := cfg.Credentials(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c.change(&creds, &cfg)
			cfg.Credentials = func(context.Context) (Credentials, error) { return creds, nil }
			conn, err := Dial(t.Context(), cfg)
			if err == nil {
				conn.Close()
			}
			if e := denied(t, err, c.kind, c.hint); strings.Contains(e.Error(), testPassword) {
				t.Errorf("the password is in %q", e)
			}
		})
	}
	if n := h.asked.Load() + foreign.asked.Load() + outside.asked.Load() + without.asked.Load(); n != 0 {
		t.Errorf("after Kerberos failed, something else was tried %d times", n)
	}
}

// A host that lets anybody in without proving who it is gets nothing.
func TestHostWithoutProof(t *testing.T) {
	d := startDomain(t)
	var bodies atomic.Int64
	cfg := d.as(startImpostor(t, &bodies))
	_, err := Dial(t.Context(), cfg)
	denied(t, err, transport.Denied, hintMutual)
	if n := bodies.Load(); n != 0 {
		t.Errorf("it got %d bytes", n)
	}
}

// The password is asked of the KDC once for all connections and hosts.
func TestOneTicketForAllHosts(t *testing.T) {
	d := startDomain(t)
	first, second := d.host(t, wsman.Config{}), d.host(t, wsman.Config{})
	logons := &Logons{}
	for _, cfg := range []Config{first.http, second.http, first.https} {
		cfg = d.as(cfg)
		cfg.Logons = logons
		dial(t, cfg).Close()
		d.SetPassword("alice", "changed") // the ticket does not need it any more
	}
}

func TestKerberosByKeytabAndCache(t *testing.T) {
	d := startDomain(t)
	h := d.host(t, wsman.Config{})
	keytab := d.Keytab("deploy")
	for name, creds := range map[string]Credentials{
		"keytab": {User: "deploy@" + kdctest.Realm, Keytab: contents(t, keytab), KerberosConfig: d.config},
		"cache":  {CCache: contents(t, d.Kinit("deploy", keytab)), KerberosConfig: d.config},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := d.as(h.http)
			cfg.Credentials = func(context.Context) (Credentials, error) { return creds, nil }
			dial(t, cfg).Close()
		})
	}
}

// loseLinks makes what follows log on anew.
func (c *conn) loseLinks() {
	c.tidy.Wait()
	c.c.close()
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	c.c.closed = false
}

// Credentials are read before each logon; one that cannot be read is an error
// then, and not before.
func TestCredentialsAreReadAgain(t *testing.T) {
	d := startDomain(t)
	h := d.host(t, wsman.Config{})
	cfg := d.as(h.http)
	var reads atomic.Int64
	var gone atomic.Bool
	read := cfg.Credentials
	cfg.Credentials = func(ctx context.Context) (Credentials, error) {
		reads.Add(1)
		if gone.Load() {
			return Credentials{}, errors.New("no such file")
		}
		return read(ctx)
	}
	c := dial(t, cfg).(*conn)
	before := reads.Load()
	c.loseLinks()
	if _, err := c.Run(t.Context(), "true", nil); err != nil {
		t.Fatal(err)
	}
	if reads.Load() == before {
		t.Error("they were not read again")
	}
	gone.Store(true)
	c.loseLinks()
	_, err := c.Run(t.Context(), "true", nil)
	denied(t, err, transport.Denied, hintCredentials)
}

// Somebody on the way who turns the host's yes into a no, and keeps its proof,
// does not make us speak in the clear.
func TestProofBesideARefusal(t *testing.T) {
	d := startDomain(t)
	h := d.host(t, wsman.Config{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := startRelayOn(t, l, func() (net.Conn, error) {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", portText(h.http.Port)))
		return refusing{c}, err
	})
	cfg := d.as(h.http)
	cfg.Port = r.port()
	_, err = Dial(t.Context(), cfg)
	denied(t, err, transport.Denied, hintTicketRefused)
	r.mu.Lock()
	defer r.mu.Unlock()
	if bytes.Contains(r.said, []byte("MaxEnvelopeSize")) {
		t.Error("a message went in the clear")
	}
}

// refusing changes what a host says about logons.
type refusing struct{ net.Conn }

func (c refusing) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if bytes.Contains(b[:n], []byte("Www-Authenticate: Kerberos ")) {
		copy(b, bytes.Replace(b[:n], []byte("HTTP/1.1 200"), []byte("HTTP/1.1 401"), 1))
	}
	return n, err
}

func TestNothingIsSentUnsealed(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	l, err := dialLink(t.Context(), h.http.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	before := l.conn.written.Load()
	if _, err := l.exchange(t.Context(), message{body: []byte("x")}); !errors.Is(err, errNotSealed) || l.conn.written.Load() != before {
		t.Errorf("error %v", err)
	}
}
