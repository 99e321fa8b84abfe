package winrm

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/go-shipper/shipper/transport/winrm/internal/krb5"
)

// Credentials prove who we are. Which of them count says Config.Auth.
type Credentials struct {
	User, Password string
	Realm          string // of User; default: from User, or from KerberosConfig
	Keytab         []byte // instead of a password
	CCache         []byte // instead of both: somebody has logged on already
	KerberosConfig []byte // krb5.conf; nil: KDCs are found by DNS
	Certificate    []byte // PEM, with its chain
	Key            []byte // PEM, of Certificate
}

// id tells credentials apart without keeping them.
func (c Credentials) id(auth string) [32]byte {
	h := sha256.New()
	for _, part := range [][]byte{
		[]byte(auth), []byte(c.User), []byte(c.Password), []byte(c.Realm), c.Keytab, c.CCache, c.KerberosConfig, c.Certificate, c.Key,
	} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return [32]byte(h.Sum(nil))
}

// none means that somebody has logged on already, by other means.
func (c Credentials) none() bool { return c.Password == "" && c.Keytab == nil && c.CCache == nil }

const maxRefusals = 2 // of the same credentials, before they are left alone

// Logons is what all connections of a run know about its credentials: wrong
// ones are tried twice and not by every host, so that no account is locked
// out, and one ticket serves all hosts. Credentials that change are new ones.
// Its zero value is ready; it is safe for concurrent use.
type Logons struct {
	mu    sync.Mutex
	known map[[32]byte]*trial
}

// trial is what became of one set of credentials.
type trial struct {
	gate  chan struct{} // held by the one who tries, while they are in doubt
	login *krb5.Login

	proven  map[string]bool // hosts that let us in
	refused map[string]int  // how often, in a row
	unheard map[string]int  // attempts of hosts that never let us in, which may have counted
	inRow   int             // refusals that put the credentials themselves in doubt
	stopped string          // the host that ended it for all
	limited string          // the host that ended it for those that have not let us in yet
}

func (l *Logons) trial(id [32]byte) *trial {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.known[id]
	if t == nil {
		t = &trial{gate: make(chan struct{}, 1), proven: map[string]bool{}, refused: map[string]int{}, unheard: map[string]int{}}
		if l.known == nil {
			l.known = map[[32]byte]*trial{}
		}
		l.known[id] = t
	}
	return t
}

// stoppedError says that credentials are not tried, because they failed.
type stoppedError struct{ host string }

func (e *stoppedError) Error() string {
	return fmt.Sprintf("%s refused the same credentials, so they are not tried here", e.host)
}

// refusedError is a refusal, and whether it was the last of these credentials.
type refusedError struct{ final bool }

func (*refusedError) Error() string { return errRefused.Error() }
func (*refusedError) Unwrap() error { return errRefused }

// unheardError is an attempt without an answer: the host may have counted it.
// spent says that there were enough of them.
type unheardError struct {
	err   error
	spent bool
}

func (e *unheardError) Error() string { return e.err.Error() }
func (e *unheardError) Unwrap() error { return e.err }

var errUnheard = errors.New("the host fell silent each time it was shown the credentials")

// unheard marks the end of an exchange in which the host got the credentials.
func unheard(err error) error {
	var le *linkError
	if errors.As(err, &le) && le.sent {
		return &unheardError{err: err}
	}
	return err
}

// try lets one host try the credentials. While nobody knows whether they are
// right, only one does.
func (l *Logons) try(ctx context.Context, host string, id [32]byte, logon func() error) error {
	t := l.trial(id)
	if l.inDoubt(t) {
		select {
		case t.gate <- struct{}{}:
			defer func() { <-t.gate }()
		case <-ctx.Done():
			return &linkError{err: context.Cause(ctx)}
		}
	}
	if err := l.allowed(t, host); err != nil {
		return err
	}
	err := logon()
	switch {
	case err == nil:
		l.succeeded(t, host)
	case refusal(err):
		if final := l.failed(t, host); errors.Is(err, errRefused) {
			return &refusedError{final}
		}
	default:
		var lost *unheardError
		if errors.As(err, &lost) {
			lost.spent = l.lost(t, host)
		}
	}
	return err
}

// refusal tells wrong credentials from all else that can go wrong.
func refusal(err error) bool {
	var k *krb5.Error
	return errors.Is(err, errRefused) || errors.As(err, &k) && k.Refused()
}

func (l *Logons) inDoubt(t *trial) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(t.proven) == 0 || t.inRow > 0
}

func (l *Logons) allowed(t *trial, host string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case t.stopped != "":
		return &stoppedError{t.stopped}
	case t.limited != "" && !t.proven[host]:
		return &stoppedError{t.limited}
	case t.unheard[host] >= maxRefusals && !t.proven[host]:
		return &unheardError{errUnheard, true}
	}
	return nil
}

// lost counts an attempt without an answer, and tells whether it was the last.
// A host that has let us in knows that the credentials are right.
func (l *Logons) lost(t *trial, host string) (spent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.proven[host] {
		return false
	}
	t.unheard[host]++
	return t.unheard[host]+t.refused[host] >= maxRefusals
}

func (l *Logons) succeeded(t *trial, host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.proven[host], t.refused[host], t.unheard[host], t.inRow = true, 0, 0, 0
}

// failed counts a refusal and tells whether the host may not be asked again. A
// host that refuses what others took, and never took it itself, says more
// about itself than about the credentials.
func (l *Logons) failed(t *trial, host string) (final bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.refused[host]++
	if len(t.proven) == 0 || t.proven[host] {
		if t.inRow++; t.inRow >= maxRefusals {
			t.stopped = host
		}
	} else if t.refused[host] >= maxRefusals {
		t.limited = host
	}
	return t.stopped != "" || t.limited != "" || t.unheard[host]+t.refused[host] >= maxRefusals
}

// kerberos is the account of the credentials, which logs on to its realm once.
func (l *Logons) kerberos(id [32]byte, c Credentials, dial dialFunc) (*krb5.Login, error) {
	t := l.trial(id)
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.login != nil {
		return t.login, nil
	}
	login, err := krb5.NewLogin(krb5.Credentials{
		User: c.User, Realm: c.Realm, Password: c.Password, Keytab: c.Keytab, CCache: c.CCache, Config: c.KerberosConfig, Dial: dial,
	})
	if err == nil {
		t.login = login
	}
	return login, err
}
