package winrm

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-shipper/shipper/transport/winrm/internal/krb5"
	"github.com/go-shipper/shipper/transport/winrm/internal/ntlm"
	"github.com/go-shipper/shipper/transport/winrm/internal/sspi"
)

var (
	errRefused  = errors.New("the host refused the credentials")
	errNoScheme = errors.New("the host does not offer the authentication scheme")
)

// The schemes of HTTP by which we log on.
const (
	schemeNegotiate = "Negotiate"
	schemeKerberos  = "Kerberos"
	// schemeMutual is how WinRM calls a client's certificate.
	schemeMutual = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
)

// logon proves who we are, once for the life of the connection. What fails
// does not fall back to anything weaker.
func (c *client) logon(ctx context.Context, l *link, creds Credentials) error {
	id := creds.id(c.cfg.Auth)
	return c.cfg.Logons.try(ctx, c.cfg.Host, id, func() error {
		limit := c.cfg.DialTimeout
		ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
		defer cancel()
		switch c.cfg.Auth {
		case AuthBasic:
			l.basic = "Basic " + base64.StdEncoding.EncodeToString([]byte(creds.User+":"+creds.Password))
			return unheard(l.prove(ctx, "Basic"))
		case AuthCertificate:
			l.basic = schemeMutual
			return l.prove(ctx, "")
		case AuthSSPI:
			return l.current(ctx, sspi.Negotiate, c.cfg.service())
		case AuthKerberos:
			if creds.none() && sspi.Available {
				return l.current(ctx, sspi.Kerberos, c.cfg.service())
			}
			login, err := c.cfg.Logons.kerberos(id, creds, c.cfg.connect)
			if err != nil {
				return err
			}
			return l.kerberos(ctx, login, c.cfg.service())
		}
		return l.ntlm(ctx, creds)
	})
}

// prove makes the host say at once whether it takes what each request carries
// from now on.
func (l *link) prove(ctx context.Context, scheme string) error {
	a, err := l.post(ctx, http.Header{"Content-Type": {plainType}}, nil)
	if err != nil {
		return err
	}
	if a.status == http.StatusUnauthorized && scheme != "" {
		return refusedOffers(a, scheme)
	}
	return letIn(a)
}

// letIn reads the status of the answer to an empty message. Some hosts
// dislike such a message, after the logon.
func letIn(a *answer) error {
	switch {
	case a.status == http.StatusUnauthorized:
		return errRefused
	case a.status >= 300 && a.status != http.StatusInternalServerError:
		return &httpError{status: a.status}
	}
	return nil
}

// binding ties a logon to the host's certificate, nil without TLS.
func (l *link) binding() []byte {
	if l.cert == nil {
		return nil
	}
	return ntlm.ChannelBinding(l.cert.PeerCertificates[0])
}

// channel is what binding is made of.
func (l *link) channel() []byte {
	if l.cert == nil {
		return nil
	}
	return ntlm.Channel(l.cert.PeerCertificates[0])
}

// ntlm is the NTLM handshake. Inside TLS it is bound to the host's
// certificate; without TLS it makes the keys that seal all that follows.
func (l *link) ntlm(ctx context.Context, creds Credentials) error {
	user, domain := ntlm.ParseUser(creds.User)
	client := ntlm.NewClient(ntlm.Credentials{User: user, Domain: domain, Password: creds.Password}, l.cert == nil, l.binding())
	a, err := l.postToken(ctx, schemeNegotiate, client.Negotiate())
	if err != nil {
		return err
	}
	if a.status != http.StatusUnauthorized {
		return &httpError{status: a.status}
	}
	challenge, err := tokenOf(a, schemeNegotiate)
	if err != nil {
		return err
	}
	token, session, err := client.Authenticate(challenge)
	if err != nil {
		return err
	}
	if a, err = l.postToken(ctx, schemeNegotiate, token); err != nil {
		return unheard(err)
	}
	if err := letIn(a); err != nil {
		return err
	}
	if session != nil {
		l.seals = &seals{sealer: steady{session}, protocol: protocolNegotiate}
	}
	return nil
}

// kerberos shows a ticket, and wants proof that the host could read it. The
// scheme of that name is tried first; where a host does not offer it, the
// ticket goes by Negotiate, in which nothing but Kerberos is negotiated.
func (l *link) kerberos(ctx context.Context, login *krb5.Login, service string) error {
	a, err := l.ticket(ctx, login, service, schemeKerberos)
	if !errors.Is(err, errNoScheme) || !offersScheme(a.header.Values("WWW-Authenticate"), schemeNegotiate) {
		return err
	}
	_, err = l.ticket(ctx, login, service, schemeNegotiate)
	return err
}

func (l *link) ticket(ctx context.Context, login *krb5.Login, service, scheme string) (*answer, error) {
	i, err := login.Initiate(ctx, service, l.binding(), scheme == schemeNegotiate)
	if errors.Is(err, krb5.ErrUnheard) {
		return nil, &unheardError{err: &linkError{err: err}}
	}
	if errors.Is(err, krb5.ErrNoKDC) || ctx.Err() != nil {
		return nil, &linkError{err: err} // it may answer the next time
	}
	if err != nil {
		return nil, err
	}
	a, err := l.postToken(ctx, scheme, i.Token())
	if err != nil {
		return nil, err
	}
	token, missing := tokenOf(a, scheme)
	if a.status == http.StatusUnauthorized {
		login.Forget(service)
		if missing == nil && len(token) > 0 {
			if _, err := i.Finish(token); err != nil { // what the host says is wrong
				return a, err
			}
			return a, errRefused // a proof beside a refusal: somebody changed one of them
		}
		return a, refusedOffers(a, scheme)
	}
	if err := letIn(a); err != nil {
		return a, err
	}
	if missing != nil {
		return a, krb5.ErrMutual
	}
	session, err := i.Finish(token)
	if err == nil && l.cert == nil {
		l.seals = &seals{sealer: steady{session}, protocol: protocols[scheme]}
	}
	return a, err
}

// refusedOffers tells a host that refused us from one that does not know the
// scheme.
func refusedOffers(a *answer, scheme string) error {
	if offersScheme(a.header.Values("WWW-Authenticate"), scheme) {
		return errRefused
	}
	return fmt.Errorf("%w %s", errNoScheme, scheme)
}

func (l *link) postToken(ctx context.Context, scheme string, token []byte) (*answer, error) {
	h := http.Header{"Content-Type": {plainType}}
	h.Set("Authorization", scheme+" "+base64.StdEncoding.EncodeToString(token))
	return l.post(ctx, h, nil)
}

// tokenOf finds the host's token of a scheme.
func tokenOf(a *answer, scheme string) ([]byte, error) {
	for _, o := range a.header.Values("WWW-Authenticate") {
		name, token, _ := strings.Cut(strings.TrimSpace(o), " ")
		if strings.EqualFold(name, scheme) && token != "" {
			return base64.StdEncoding.DecodeString(strings.TrimSpace(token))
		}
	}
	return nil, fmt.Errorf("%w %s", errNoScheme, scheme)
}
