// Package kdctest runs a Kerberos realm of its own for a test: MIT's KDC on a
// free port of loopback, with all its files in a temporary folder.
package kdctest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/ports"
)

const (
	// Realm is the realm's name.
	Realm = "EXAMPLE.TEST"
	// AES is what keys are made for, unless a test says otherwise.
	AES = "aes256-cts-hmac-sha1-96"
)

// KDC is a running realm.
type KDC struct {
	Config string // path of the krb5.conf for its clients

	t   testing.TB
	dir string
}

// Options of a realm; zero values mean the defaults.
type Options struct {
	Encryption string        // of tickets and sessions, default AES
	Lifetime   time.Duration // of tickets, default a day
}

// Start brings the realm up. A machine without a KDC skips the test; `make
// test` installs one first.
func Start(t testing.TB, o Options) *KDC {
	t.Helper()
	for _, name := range []string{"krb5kdc", "kdb5_util", "kadmin.local", "kinit"} {
		if _, err := exec.LookPath(program(name)); err != nil {
			t.Skip(name + " is not installed: apt-get install krb5-kdc krb5-admin-server krb5-user")
		}
	}
	if o.Encryption == "" {
		o.Encryption = AES
	}
	if o.Lifetime == 0 {
		o.Lifetime = 24 * time.Hour
	}
	k := &KDC{t: t, dir: t.TempDir()}
	k.Config = filepath.Join(k.dir, "krb5.conf")
	port := k.configure(o)
	k.command("kdb5_util", "create", "-s", "-P", "master", "-r", Realm)
	k.serve(port)
	return k
}

// program finds what Debian keeps out of people's path.
func program(name string) string {
	if path := "/usr/sbin/" + name; exists(path) {
		return path
	}
	return name
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// configure writes the files of the KDC and of its clients.
func (k *KDC) configure(o Options) string {
	address := ports.Address(k.t)
	k.write("kdc.conf", fmt.Sprintf(`[kdcdefaults]
 kdc_listen = ""
 kdc_tcp_listen = %[1]s
[realms]
 %[2]s = {
  database_name = %[3]s/principal
  key_stash_file = %[3]s/stash
  acl_file = %[3]s/acl
  supported_enctypes = %[4]s:normal
  master_key_type = aes256-cts-hmac-sha1-96
  max_life = %[5]ds
  default_principal_flags = +preauth
 }
`, address, Realm, k.dir, o.Encryption, int(o.Lifetime.Seconds())))
	k.write("krb5.conf", fmt.Sprintf(`[libdefaults]
 default_realm = %[2]s
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
 default_tkt_enctypes = %[3]s
 default_tgs_enctypes = %[3]s
 permitted_enctypes = %[3]s
[realms]
 %[2]s = {
  kdc = %[1]s
 }
`, address, Realm, o.Encryption))
	return address
}

func (k *KDC) write(name, text string) {
	if err := os.WriteFile(filepath.Join(k.dir, name), []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// Env is what makes MIT's programs use this realm and no other files.
func (k *KDC) Env() []string {
	return append(os.Environ(), "KRB5_CONFIG="+k.Config, "KRB5_KDC_PROFILE="+filepath.Join(k.dir, "kdc.conf"),
		"KRB5CCNAME=FILE:"+filepath.Join(k.dir, "ccache"), "KRB5_KTNAME="+filepath.Join(k.dir, "none"), "KRB5RCACHENAME=none:", "KRB5_TRACE=")
}

func (k *KDC) command(name string, args ...string) {
	k.t.Helper()
	cmd := exec.Command(program(name), args...)
	cmd.Env = k.Env()
	if out, err := cmd.CombinedOutput(); err != nil {
		k.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func (k *KDC) serve(address string) {
	k.t.Helper()
	var said strings.Builder
	cmd := exec.Command(program("krb5kdc"), "-n", "-r", Realm)
	cmd.Env, cmd.Stdout, cmd.Stderr = k.Env(), &said, &said
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	k.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			k.t.Fatalf("krb5kdc ended: %s", said.String())
		}
	}
}

// AddUser makes an account.
func (k *KDC) AddUser(name, password string) {
	k.t.Helper()
	k.command("kadmin.local", "-r", Realm, "-q", fmt.Sprintf("addprinc -pw %q %s", password, name))
}

// SetPassword changes that of an account.
func (k *KDC) SetPassword(name, password string) {
	k.t.Helper()
	k.command("kadmin.local", "-r", Realm, "-q", fmt.Sprintf("cpw -pw %q %s", password, name))
}

// Keytab gives new random keys to an account, made if needed, and the file
// that holds them.
func (k *KDC) Keytab(name string) string {
	k.t.Helper()
	file := filepath.Join(k.dir, strings.ReplaceAll(name, "/", "_")+".keytab")
	k.command("kadmin.local", "-r", Realm, "-q", "addprinc -randkey "+name)
	k.command("kadmin.local", "-r", Realm, "-q", fmt.Sprintf("ktadd -k %s %s", file, name))
	return file
}

// Kinit logs an account on by its keytab, and gives the credential cache.
func (k *KDC) Kinit(name, keytab string) string {
	k.t.Helper()
	k.command("kinit", "-k", "-t", keytab, name)
	return filepath.Join(k.dir, "ccache")
}
