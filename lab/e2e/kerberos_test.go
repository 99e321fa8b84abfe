//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/go-shipper/shipper/lab"
	"github.com/go-shipper/shipper/lab/kdctest"
	"github.com/go-shipper/shipper/lab/project"
)

// A release in a domain: tickets of a real KDC for a keytab,
// every message sealed on 5985, no password anywhere.
func TestReleaseByKerberos(t *testing.T) {
	b := theBench(t)
	l, err := lab.Up(t.Context(), b.options(fmt.Sprintf("domain-%d", os.Getpid()), 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	h := l.Hosts()[0]
	d := kdctest.Start(t, kdctest.Options{})
	keytab, err := os.ReadFile(d.Keytab("HTTP/" + h.Name + ".example.test"))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Join(t.Context(), h.Name, keytab); err != nil {
		t.Fatal(err)
	}
	t.Setenv(project.PasswordVar, "not-used")
	p := b.projectOn(t, l.Hosts(), project.Config{Transport: fmt.Sprintf(
		"      {auth: kerberos, user: deploy@%s, keytab: %s, krb5Config: %s, spn: 'HTTP/{name}.example.test'}\n", kdctest.Realm, d.Keytab("deploy"), d.Config)})
	deploy(t, p, "1.0.0", "", 0)
	runs(t, p, "1.0.0")
}
