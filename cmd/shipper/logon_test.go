package main

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
)

func TestService(t *testing.T) {
	h := config.Host{Name: "web1", Address: "web1.corp.example"}
	for spn, want := range map[string]string{
		"": "HTTP/web1.corp.example", "WSMAN": "WSMAN/web1.corp.example", "HOST/{name}.other.example": "HOST/web1.other.example", "HTTP/one.example": "HTTP/one.example",
	} {
		if got := service(spn, h); got != want {
			t.Errorf("%q: %s, want %s", spn, got, want)
		}
	}
}

func TestLogonReadsAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pw")
	tr := config.Transport{Auth: "ntlm", User: "u", Password: "${file:" + file + "}"}
	for _, want := range []string{"first", "second"} {
		if err := os.WriteFile(file, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := logon(tr); err != nil || c.Password != want {
			t.Errorf("%q, %v", c.Password, err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	var p *problem.Error
	if _, err := logon(tr); !errors.As(err, &p) || p.Hint == "" {
		t.Errorf("error %v", err)
	}
}

func TestLogonFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("KRB5CCNAME", "FILE:"+filepath.Join(dir, "cache"))
	t.Setenv("KRB5_CONFIG", filepath.Join(dir, "none"))
	t.Setenv("KEY", "key text")
	for _, name := range []string{"cache", "keytab", "cert"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := logon(config.Transport{Auth: "kerberos"})
	if err != nil || string(c.CCache) != "cache" || c.KerberosConfig != nil {
		t.Errorf("cache: %+v, %v", c, err)
	}
	c, err = logon(config.Transport{Auth: "kerberos", User: "u@R", Keytab: filepath.Join(dir, "keytab")})
	if err != nil || string(c.Keytab) != "keytab" || c.CCache != nil {
		t.Errorf("keytab: %+v, %v", c, err)
	}
	c, err = logon(config.Transport{Auth: "certificate", ClientCert: filepath.Join(dir, "cert"), ClientKey: "${env:KEY}"})
	if err != nil || string(c.Certificate) != "cert" || string(c.Key) != "key text" {
		t.Errorf("certificate: %+v, %v", c, err)
	}
	if _, err := logon(config.Transport{Auth: "kerberos", Krb5Config: filepath.Join(dir, "none")}); err == nil {
		t.Error("a krb5.conf that is named must exist")
	}
}

func TestProxySetting(t *testing.T) {
	if proxy("") != nil {
		t.Error("a proxy nobody asked for")
	}
	target := &url.URL{Scheme: "http", Host: "web1.example.com:5985"}
	u, err := proxy("http://proxy:3128")(target)
	if err != nil || u.Host != "proxy:3128" {
		t.Errorf("%v, %v", u, err)
	}
	t.Setenv("PROXY", "http://me:secr%et@proxy")
	if _, err := proxy("${env:PROXY}")(target); err == nil || strings.Contains(err.Error(), "secr") {
		t.Errorf("error %v", err)
	}
	t.Setenv("PROXY", "http://me:secret@proxy:8080")
	if u, err := proxy("${env:PROXY}")(target); err != nil || u.User.String() != "me:secret" {
		t.Errorf("%v, %v", u, err)
	}
}
