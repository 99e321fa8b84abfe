// Package krb5 logs on to hosts by Kerberos and seals what is said to them
// (RFC 4120, 4121, 8009). Tickets, messages and keys are those of gokrb5; it
// lacks mutual authentication, channel binding, sealing, and requests that can
// be cancelled: those are here. Nothing weaker than AES is taken.
package krb5

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Credentials of an account: a password, the content of a keytab, or that of
// a credential cache, where somebody has logged on already.
type Credentials struct {
	User     string // user or user@REALM; from the cache if that is given
	Realm    string // default: that of User, else the default of Config
	Password string
	Keytab   []byte
	CCache   []byte
	Config   []byte // krb5.conf; nil: KDCs are found by DNS

	Dial func(ctx context.Context, network, address string) (net.Conn, error) // to a KDC; nil: as usual
}

// ErrExpired says that the tickets of a credential cache are too old.
var ErrExpired = errors.New("the tickets in the credential cache have expired")

// ErrRealm says that nothing names the realm of the account.
var ErrRealm = errors.New("the realm of the account is not known")

// spare is how long a ticket must still be good for, to be used.
const spare = time.Minute

// principal is who we are.
type principal struct {
	name  types.PrincipalName
	realm string
}

// ticket opens one service, or the ticket service of a realm.
type ticket struct {
	ticket messages.Ticket
	key    types.EncryptionKey
	end    time.Time
}

func (t ticket) good() bool { return time.Until(t.end) > spare }

// Login is an account with the tickets it got so far. It logs on to the realm
// once for all hosts. It is safe for concurrent use.
type Login struct {
	cfg     *config.Config
	client  principal
	secret  *credentials.Credentials // nil: the cache is all there is
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	logging chan struct{} // held while asking for the first ticket

	mu       sync.Mutex
	first    ticket
	services map[string]ticket
	answered map[string]string // KDC, by realm
}

// NewLogin asks nobody yet.
func NewLogin(c Credentials) (l *Login, err error) {
	err = guarded(func() error {
		l, err = newLogin(c)
		return err
	})
	return l, err
}

func newLogin(c Credentials) (*Login, error) {
	cfg, err := parseConfig(string(c.Config))
	if err != nil {
		return nil, err
	}
	l := &Login{cfg: cfg, dial: c.Dial, logging: make(chan struct{}, 1), services: map[string]ticket{}, answered: map[string]string{}}
	if l.dial == nil {
		l.dial = new(net.Dialer).DialContext
	}
	if c.CCache != nil {
		return l, l.fromCache(c.CCache)
	}
	if l.client, err = account(c, cfg.LibDefaults.DefaultRealm); err != nil {
		return nil, err
	}
	l.secret = credentials.NewFromPrincipalName(l.client.name, l.client.realm)
	if c.Keytab == nil {
		l.secret.WithPassword(c.Password)
		return l, nil
	}
	k := keytab.New()
	if err := k.Unmarshal(c.Keytab); err != nil {
		return nil, fmt.Errorf("read keytab: %w", err)
	}
	l.secret.WithKeytab(k)
	return l, nil
}

// account finds the realm. Realms are in upper case everywhere but in people's
// heads.
func account(c Credentials, defaultRealm string) (principal, error) {
	user, realm, _ := strings.Cut(c.User, "@")
	if _, name, ok := strings.Cut(user, `\`); ok && c.Realm != "" {
		user = name
	} else if ok {
		return principal{}, fmt.Errorf("%w: %s names a NetBIOS domain", ErrRealm, c.User)
	}
	realm = strings.ToUpper(realm)
	if c.Realm != "" {
		realm = c.Realm
	} else if realm == "" {
		realm = defaultRealm
	}
	if realm == "" {
		return principal{}, ErrRealm
	}
	return principal{types.NewPrincipalName(nametype.KRB_NT_PRINCIPAL, user), realm}, nil
}

// parseConfig reads a krb5.conf, and leaves AES only.
func parseConfig(text string) (*config.Config, error) {
	cfg := config.New()
	if text != "" {
		parsed, err := config.NewFromString(text)
		var unsupported config.UnsupportedDirective
		if err != nil && !errors.As(err, &unsupported) {
			return nil, fmt.Errorf("read krb5.conf: %w", err)
		}
		cfg = parsed
	}
	strong := func(ids []int32) (out []int32) {
		for _, id := range ids {
			if _, ok := suites[id]; ok {
				out = append(out, id)
			}
		}
		return out
	}
	d := &cfg.LibDefaults
	d.DefaultTktEnctypeIDs, d.DefaultTGSEnctypeIDs = strong(d.DefaultTktEnctypeIDs), strong(d.DefaultTGSEnctypeIDs)
	d.Forwardable, d.Proxiable, d.NoAddresses, d.Canonicalize, d.RenewLifetime = false, false, true, false, 0
	if len(d.DefaultTktEnctypeIDs) == 0 || len(d.DefaultTGSEnctypeIDs) == 0 {
		return nil, fmt.Errorf("read krb5.conf: %w", ErrWeak)
	}
	return cfg, nil
}

// fromCache takes over what kinit or a domain logon left behind.
func (l *Login) fromCache(b []byte) error {
	var c credentials.CCache
	if err := c.Unmarshal(b); err != nil {
		return fmt.Errorf("read credential cache: %w", err)
	}
	l.client = principal{c.GetClientPrincipalName(), c.GetClientRealm()}
	for _, entry := range c.GetEntries() {
		t := ticket{key: entry.Key, end: entry.EndTime}
		if err := t.ticket.Unmarshal(entry.Ticket); err != nil {
			return fmt.Errorf("read credential cache: %w", err)
		}
		name := entry.Server.PrincipalName.PrincipalNameString()
		if name == "krbtgt/"+l.client.realm {
			l.first = t
		} else {
			l.services[name] = t
		}
	}
	return nil
}

// Initiate begins a logon to a service, as HTTP/web1.example.com.
func (l *Login) Initiate(ctx context.Context, service string, binding []byte, negotiate bool) (*Initiator, error) {
	t, err := l.serviceTicket(ctx, service)
	if err != nil {
		return nil, err
	}
	return newInitiator(t, l.client, binding, negotiate)
}

// Forget drops the ticket of a service that did not take it: its key may have
// changed since.
func (l *Login) Forget(service string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.secret != nil {
		delete(l.services, service)
	}
}

func (l *Login) serviceTicket(ctx context.Context, service string) (ticket, error) {
	l.mu.Lock()
	t := l.services[service]
	l.mu.Unlock()
	if t.good() {
		return t, nil
	}
	first, err := l.firstTicket(ctx)
	if err != nil {
		return ticket{}, err
	}
	if t, err = l.askService(ctx, first, service); err != nil {
		return ticket{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.services[service] = t
	return t, nil
}

// firstTicket is the one that others are asked for with. The password is
// tried by one at a time, and once.
func (l *Login) firstTicket(ctx context.Context) (ticket, error) {
	select {
	case l.logging <- struct{}{}:
		defer func() { <-l.logging }()
	case <-ctx.Done():
		return ticket{}, context.Cause(ctx)
	}
	l.mu.Lock()
	t := l.first
	l.mu.Unlock()
	if t.good() {
		return t, nil
	}
	if l.secret == nil {
		return ticket{}, ErrExpired
	}
	t, err := l.askFirst(ctx)
	if err != nil {
		return ticket{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first = t
	return t, nil
}
