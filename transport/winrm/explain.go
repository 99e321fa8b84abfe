package winrm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"

	"github.com/go-shipper/shipper/transport"
)

// phaseError says that it failed before the message's own phase.
type phaseError struct {
	phase string
	err   error
}

func (e *phaseError) Error() string { return e.err.Error() }
func (e *phaseError) Unwrap() error { return e.err }

// explain turns what happened into what a person or a caller can act on.
func (c *client) explain(ctx context.Context, phase string, err error) error {
	e := &transport.Error{Kind: transport.Broken, Host: c.cfg.Host, Phase: phase, Err: err}
	var pe *phaseError
	if errors.As(err, &pe) {
		e.Phase = pe.phase
	}
	if ctx.Err() != nil {
		e.Err = context.Cause(ctx) // the caller's own wish or deadline
		return e
	}
	var f *Fault
	var he *httpError
	cert := certificateProblem(err)
	switch {
	case errors.As(err, &f):
		e.Kind, e.Code, e.Hint = f.kind(), f.Code, f.hint()
	case cert != nil:
		e.Kind, e.Hint = transport.Certificate, certificateHint(cert)
	case c.explainLogon(e, err):
	case errors.As(err, &he):
		c.explainStatus(e, he)
	default:
		explainWire(e, err)
	}
	return e
}

func (c *client) explainStatus(e *transport.Error, he *httpError) {
	switch he.status {
	case http.StatusUnauthorized:
		e.Kind, e.Phase, e.Hint = transport.Denied, "authenticate", hintPassword
		if c.cfg.Auth == AuthBasic && len(he.offers) > 0 && !offersScheme(he.offers, "Basic") {
			e.Hint = hintNoBasic
		}
	case http.StatusForbidden:
		e.Kind, e.Hint = transport.Denied, hintRights
	case http.StatusRequestEntityTooLarge:
		e.Kind, e.Hint = transport.Quota, hintEnvelope
	default:
		if e.Phase == "identify" {
			e.Kind, e.Hint = transport.Unreachable, hintScheme
		}
	}
}

func explainWire(e *transport.Error, err error) {
	var record tls.RecordHeaderError
	var wire *linkError
	var proxy *proxyError
	switch {
	case errors.As(err, &proxy):
		e.Kind, e.Hint = transport.Unreachable, hintProxy
	case errors.Is(err, errRefused):
		e.Kind, e.Phase, e.Hint = transport.Denied, "authenticate", hintPassword
	case errors.Is(err, errNoScheme):
		e.Kind, e.Hint = transport.Denied, hintNoNTLM
	case errors.Is(err, errNotSealed):
		e.Hint = hintNotSealed
	case errors.Is(err, errClosed):
		e.Kind = transport.Gone
	case errors.Is(err, errNotWinRM), errors.As(err, &record), errors.Is(err, errReply) && e.Phase == "identify":
		e.Kind, e.Hint = transport.Unreachable, hintScheme
	case e.Phase == "dial" || e.Phase == "identify":
		e.Kind, e.Hint = transport.Unreachable, hintUnreachable
	case e.Phase == "authenticate" && !errors.As(err, &wire):
		e.Kind, e.Hint = transport.Denied, hintWeak
	case errors.Is(err, errSilent):
		e.Kind = transport.Unreachable
	}
}

// certificateProblem finds what is wrong with the host's certificate.
func certificateProblem(err error) error {
	var pin *pinError
	if errors.As(err, &pin) {
		return pin
	}
	var verify *tls.CertificateVerificationError
	if errors.As(err, &verify) {
		return verify
	}
	return nil
}

func certificateHint(err error) string {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var pin *pinError
	var verify *tls.CertificateVerificationError
	switch {
	case errors.As(err, &pin):
		return hintPin + pin.seen
	case errors.As(err, &name):
		return hintName
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return hintExpired
	case errors.As(err, &verify) && len(verify.UnverifiedCertificates) > 0:
		return hintCA + "; or trust this very one, if it is the host's: transport.fingerprint: " + fingerprint(verify.UnverifiedCertificates[0])
	}
	return hintCA
}
