package winrm

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-shipper/shipper/transport/winrm/internal/ntlm"
)

var (
	errRefused  = errors.New("the host refused the credentials")
	errNoScheme = errors.New("the host does not offer the authentication scheme")
)

// authenticate proves who we are, once for the life of the connection. Basic
// proves itself with the first exchange.
func (l *link) authenticate(ctx context.Context, cfg Config) error {
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.DialTimeout, fmt.Errorf("no answer within %s", cfg.DialTimeout))
	defer cancel()
	if cfg.Auth == AuthBasic {
		l.basic = "Basic " + base64.StdEncoding.EncodeToString([]byte(cfg.User+":"+cfg.Password))
		return nil
	}
	return l.negotiate(ctx, cfg)
}

// negotiate is the NTLM handshake. Inside TLS it is bound to the host's
// certificate; without TLS it makes the keys that seal all that follows.
func (l *link) negotiate(ctx context.Context, cfg Config) error {
	user, domain := ntlm.ParseUser(cfg.User)
	var binding []byte
	if l.cert != nil {
		binding = ntlm.ChannelBinding(l.cert.PeerCertificates[0])
	}
	client := ntlm.NewClient(ntlm.Credentials{User: user, Domain: domain, Password: cfg.Password}, !cfg.HTTPS, binding)
	a, err := l.postToken(ctx, client.Negotiate())
	if err != nil {
		return err
	}
	challenge, err := challengeOf(a)
	if err != nil {
		return err
	}
	token, session, err := client.Authenticate(challenge)
	if err != nil {
		return err
	}
	if a, err = l.postToken(ctx, token); err != nil {
		return err
	}
	switch {
	case a.status == http.StatusUnauthorized:
		return errRefused
	case a.status >= 300 && a.status != http.StatusInternalServerError: // some hosts dislike the empty envelope, after the logon
		return &httpError{status: a.status}
	}
	if session != nil {
		l.seals = &seals{sealer: session, protocol: protocolNegotiate}
	}
	return nil
}

func (l *link) postToken(ctx context.Context, token []byte) (*answer, error) {
	h := http.Header{"Content-Type": {plainType}}
	h.Set("Authorization", "Negotiate "+base64.StdEncoding.EncodeToString(token))
	return l.post(ctx, h, nil)
}

func challengeOf(a *answer) ([]byte, error) {
	if a.status != http.StatusUnauthorized {
		return nil, &httpError{status: a.status}
	}
	offers := a.header.Values("WWW-Authenticate")
	for _, o := range offers {
		scheme, token, _ := strings.Cut(strings.TrimSpace(o), " ")
		if !strings.EqualFold(scheme, "Negotiate") || token == "" {
			continue
		}
		return base64.StdEncoding.DecodeString(strings.TrimSpace(token))
	}
	return nil, errNoScheme
}

// identify asks, without credentials, whether WinRM answers here at all.
func (l *link) identify(ctx context.Context, cfg Config) error {
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.DialTimeout, fmt.Errorf("no answer within %s", cfg.DialTimeout))
	defer cancel()
	a, err := l.post(ctx, http.Header{"Content-Type": {plainType}, "Wsmanidentify": {"unauthenticated"}}, []byte(identify))
	if err != nil {
		return err
	}
	if a.status == http.StatusUnauthorized && len(a.header.Values("WWW-Authenticate")) > 0 {
		return nil // a host that tells strangers nothing, but speaks HTTP authentication
	}
	if a.status != http.StatusOK {
		return &httpError{status: a.status}
	}
	b, _, err := parseReply(a.body)
	if err != nil || b.Identify == nil {
		return errNotWinRM
	}
	return nil
}

var errNotWinRM = errors.New("what answers is not WinRM")
