//go:build linux

package krb5

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-shipper/shipper/lab/kdctest"
	"github.com/go-shipper/shipper/lab/ports"
)

func TestTickets(t *testing.T) {
	r := startRealm(t, kdctest.Options{})
	keytab := r.Keytab("deploy/ci")
	cache := r.Kinit("deploy/ci", keytab)
	for name, l := range map[string]*Login{
		"password":               r.alice(t),
		"password, realm beside": r.login(t, Credentials{User: "alice@somewhere", Realm: kdctest.Realm, Password: password}),
		"NetBIOS domain beside":  r.login(t, Credentials{User: `EXAMPLE\alice`, Realm: kdctest.Realm, Password: password}),
		"realm in lower case":    r.login(t, Credentials{User: "alice@example.test", Password: password}),
		"keytab":                 r.login(t, Credentials{User: "deploy/ci", Keytab: read(t, keytab)}),
		"credential cache":       r.login(t, Credentials{CCache: read(t, cache)}),
	} {
		t.Run(name, func(t *testing.T) {
			i, err := l.Initiate(t.Context(), service, nil, false)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := i.Finish(r.peer(t).must("accept kerberos", i.Token(), nil)[0]); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRefusedByTheKDC(t *testing.T) {
	r := startRealm(t, kdctest.Options{})
	other := r.Keytab("deploy/ci")
	r.Keytab("deploy/ci") // new keys: the cache below is made with old ones
	cases := map[string]struct {
		login   *Login
		service string
		is      func(*Error) bool
	}{
		"wrong password":  {r.login(t, Credentials{User: "alice", Password: "wrong"}), service, (*Error).Refused},
		"unknown user":    {r.login(t, Credentials{User: "nobody", Password: password}), service, (*Error).Refused},
		"unknown service": {r.alice(t), "HTTP/elsewhere.example.test", (*Error).UnknownService},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := c.login.Initiate(t.Context(), c.service, nil, false)
			var e *Error
			if !errors.As(err, &e) || !c.is(e) {
				t.Fatalf("error %v", err)
			}
			if strings.Contains(err.Error(), password) {
				t.Errorf("the password is in %q", err)
			}
		})
	}
	t.Run("keytab of another account", func(t *testing.T) {
		l := r.login(t, Credentials{User: "alice", Keytab: read(t, other)})
		if _, err := l.Initiate(t.Context(), service, nil, false); !errors.Is(err, ErrWeak) {
			t.Errorf("error %v", err)
		}
	})
}

// One password is tried once for all hosts, and the ticket of a service is
// asked for again only when it was not taken.
func TestTicketsAreKept(t *testing.T) {
	r := startRealm(t, kdctest.Options{})
	l := r.alice(t)
	initiate := func() error {
		_, err := l.Initiate(t.Context(), service, nil, false)
		return err
	}
	if err := initiate(); err != nil {
		t.Fatal(err)
	}
	r.SetPassword("alice", "changed")
	l.Forget(service)
	if err := initiate(); err != nil {
		t.Errorf("with the first ticket still good: %v", err)
	}
	l.first.end = time.Now() // as if it were tomorrow
	if err := initiate(); err != nil {
		t.Errorf("with the service's ticket still good: %v", err)
	}
	l.Forget(service)
	var e *Error
	if err := initiate(); !errors.As(err, &e) || !e.Refused() {
		t.Errorf("with an old password: %v", err)
	}
}

func TestExpiredCache(t *testing.T) {
	r := startRealm(t, kdctest.Options{Lifetime: 30 * time.Second}) // less than a ticket must be good for
	l := r.login(t, Credentials{CCache: read(t, r.Kinit(service, r.keytab))})
	if _, err := l.Initiate(t.Context(), service, nil, false); !errors.Is(err, ErrExpired) {
		t.Errorf("error %v", err)
	}
}

func TestSilentKDC(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	l, err := NewLogin(Credentials{User: "alice@" + kdctest.Realm, Password: "x", Config: configFor(silent.Addr().String())})
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		c, err := silent.Accept()
		if err == nil {
			defer c.Close()
			_, _ = c.Read(make([]byte, 1))
		}
		cancel(why)
	}()
	if _, err := l.Initiate(ctx, service, nil, false); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
}

// However many KDCs say nothing, the one that answers is asked in time, and
// first from then on.
func TestSilentKDCsBesideAGoodOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kdcs []string
		for i := range maxKDC {
			kdcs = append(kdcs, fmt.Sprintf("kdc%d:88", i))
		}
		l, err := NewLogin(Credentials{User: "alice@" + kdctest.Realm, Password: "x", Config: configFor(kdcs...)})
		if err != nil {
			t.Fatal(err)
		}
		l.dial = func(ctx context.Context, _, address string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			if address == kdcs[0] {
				go func() {
					_, _ = io.CopyN(io.Discard, theirs, 5)
					_, _ = theirs.Write([]byte{0, 0, 0, 1, 'x'})
				}()
			}
			return ours, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if answer, err := l.ask(ctx, kdctest.Realm, []byte{1}, false); err != nil || string(answer) != "x" {
			t.Fatalf("%q, %v", answer, err)
		}
		began := time.Now()
		if _, err := l.ask(ctx, kdctest.Realm, []byte{1}, false); err != nil || time.Since(began) > 0 {
			t.Errorf("after it answered: %v, after %s", err, time.Since(began))
		}
	})
}

func TestNoKDC(t *testing.T) {
	closed := ports.Address(t)
	l, err := NewLogin(Credentials{User: "alice@" + kdctest.Realm, Password: "x", Config: configFor(closed)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Initiate(t.Context(), service, nil, false); !errors.Is(err, ErrNoKDC) {
		t.Errorf("error %v", err)
	}
}

func configFor(kdcs ...string) []byte {
	return []byte("[libdefaults]\n default_realm = " + kdctest.Realm + "\n[realms]\n " + kdctest.Realm + " = {\n  kdc = " + strings.Join(kdcs, "\n  kdc = ") + "\n }\n")
}

func TestBadCredentials(t *testing.T) {
	for name, c := range map[string]Credentials{
		"no realm":             {User: "alice", Password: "x"},
		"a NetBIOS domain":     {User: `CORP\alice`, Password: "x"},
		"no keytab":            {User: "a@B", Keytab: []byte("not a keytab")},
		"an empty keytab":      {User: "a@B", Keytab: []byte{}},
		"no cache":             {CCache: []byte{5, 4, 0}},
		"an empty cache":       {CCache: []byte{}},
		"only weak encryption": {User: "a@B", Password: "x", Config: []byte("[libdefaults]\n default_tkt_enctypes = rc4-hmac\n")},
		"no krb5.conf":         {User: "a@B", Password: "x", Config: []byte("[libdefaults]\n nonsense\n")},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewLogin(c); err == nil {
				t.Error("no error")
			}
		})
	}
}
