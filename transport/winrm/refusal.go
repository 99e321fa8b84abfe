package winrm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/winrm/internal/krb5"
	"github.com/go-shipper/shipper/transport/winrm/internal/sspi"
)

// Hints about logons: the exact thing to do.
const (
	hintPlainCertificate = "a client certificate needs TLS: set transport.https to true"
	hintTicketRefused    = "check transport.spn: it must name the account that the host runs under, as HTTP/host.domain, HOST/… or WSMAN/…; the account needs administrator rights on the host"
	hintKerberosPassword = "check transport.user (user@REALM) and transport.password or transport.keytab; is the account locked or its password expired?"
	hintService          = "name the host by its full name in the domain, or set transport.spn to a name that its account has: setspn -L HOST lists them"
	hintClock            = "set the clocks: host, KDC and this machine may differ by five minutes"
	hintKDC              = "set transport.krb5Config to a krb5.conf that names the KDCs of the realm, or let DNS answer for _kerberos._tcp.REALM; the way to port 88 must be open"
	hintRealm            = "write transport.user as user@REALM, or set transport.realm"
	hintCache            = "log on again: kinit user@REALM"
	hintAES              = "let the account and the host use AES: in the domain, msDS-SupportedEncryptionTypes 24"
	hintMutual           = "somebody else answers for the host: check its address and what is on the way"
	hintNoKerberos       = "allow Kerberos on the host: winrm set winrm/config/service/auth @{Kerberos=\"true\"}"
	hintCertificateUser  = "map the certificate to an account on the host: winrm create winrm/config/service/certmapping, and winrm set winrm/config/service/auth @{Certificate=\"true\"}"
	hintSSPI             = "set transport.auth to kerberos or ntlm: sspi is the logon of Windows"
	hintNoLogon          = "log on to the domain with an account that the host knows, or set transport.user and transport.password"
	hintUnheard          = "the way to the host, or its domain controller, fails in the midst of logons; they are not tried again in this run, so that the account is not locked out"
	hintNotAgain         = "mend the credentials; they are not tried again in this run, so that the account is not locked out"
	hintCredentials      = "the references of transport.user, transport.password and the like are read before every logon: set the variable, or mend the file"
)

// credentialError says that there is nothing to log on with.
type credentialError struct{ err error }

func (e *credentialError) Error() string { return "read credentials: " + e.err.Error() }
func (e *credentialError) Unwrap() error { return e.err }

// credentials reads what the next logon is made with.
func (c *client) credentials(ctx context.Context) (Config, Credentials, error) {
	cfg := c.cfg
	creds, err := cfg.Credentials(ctx)
	if err != nil {
		return cfg, creds, &credentialError{err}
	}
	if creds.User == "" && (cfg.Auth == AuthNTLM || cfg.Auth == AuthBasic) {
		return cfg, creds, &credentialError{errors.New("no user")}
	}
	cfg.certificate, err = creds.pair(cfg.Auth)
	return cfg, creds, err
}

// pair is our certificate, where we log on by one.
func (c Credentials) pair(auth string) (*tls.Certificate, error) {
	if auth != AuthCertificate {
		return nil, nil
	}
	pair, err := tls.X509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, &credentialError{fmt.Errorf("client certificate: %w", err)}
	}
	return &pair, nil
}

// explainLogon tells what can be done about a failed logon; false means that
// something else failed.
func (c *client) explainLogon(e *transport.Error, err error) bool {
	hint := c.logonHint(err)
	if hint == "" {
		return false
	}
	e.Kind, e.Phase, e.Hint = transport.Denied, "authenticate", hint
	var lost *unheardError
	if errors.Is(err, krb5.ErrNoKDC) || errors.As(err, &lost) {
		e.Kind = transport.Unreachable
	}
	return true
}

func (c *client) logonHint(err error) string {
	var stopped *stoppedError
	var missing *credentialError
	var said *krb5.Error
	var lost *unheardError
	switch {
	case errors.As(err, &lost) && lost.spent:
		return hintUnheard
	case errors.As(err, &stopped):
		return hintNotAgain
	case errors.As(err, &missing):
		return hintCredentials
	case errors.As(err, &said):
		return kerberosHint(said)
	case errors.Is(err, krb5.ErrNoKDC):
		return hintKDC
	case errors.Is(err, krb5.ErrRealm):
		return hintRealm
	case errors.Is(err, krb5.ErrExpired):
		return hintCache
	case errors.Is(err, krb5.ErrWeak):
		return hintAES
	case errors.Is(err, sspi.ErrNoLogon):
		return hintNoLogon
	case errors.Is(err, krb5.ErrMutual), errors.Is(err, sspi.ErrWeak):
		return hintMutual
	case errors.Is(err, errRefused):
		return map[string]string{AuthKerberos: hintTicketRefused, AuthCertificate: hintCertificateUser}[c.cfg.Auth]
	case errors.Is(err, errNoScheme):
		return map[string]string{AuthKerberos: hintNoKerberos, AuthBasic: hintNoBasic}[c.cfg.Auth]
	}
	return ""
}

func kerberosHint(e *krb5.Error) string {
	switch {
	case e.Refused():
		return hintKerberosPassword
	case e.UnknownService():
		return hintService
	case e.Skewed():
		return hintClock
	}
	return hintTicketRefused
}
