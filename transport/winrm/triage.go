package winrm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-shipper/shipper/transport"
)

const (
	triageTimeout = 5 * time.Second
	// maxSkew is what Kerberos, and with it most domains, allow.
	maxSkew = 5 * time.Minute
)

// Triage looks at a host from outside, without logging on: for when Dial
// failed and its reason alone does not say what to mend.
func Triage(ctx context.Context, cfg Config) []transport.Symptom {
	cfg = cfg.withDefaults()
	if cfg.loadCA() != nil {
		return nil // Dial said so
	}
	found := cfg.ports(ctx)
	if cfg.HTTPS {
		found = append(found, cfg.certificateSeen(ctx)...)
	}
	return append(found, cfg.answer(ctx)...)
}

// ports tells which of the usual ways are open at all.
func (c Config) ports(ctx context.Context) []transport.Symptom {
	var open, closed []string
	for _, p := range []struct {
		port int
		name string
	}{{5985, "WinRM"}, {5986, "WinRM over TLS"}, {22, "SSH"}} {
		name := fmt.Sprintf("%d (%s)", p.port, p.name)
		if reachable(ctx, c.Address, p.port) {
			open = append(open, name)
		} else {
			closed = append(closed, name)
		}
	}
	s := transport.Symptom{What: "ports", Detail: "none of 5985, 5986 and 22 answers", Hint: hintUnreachable}
	if len(open) > 0 {
		s.Detail, s.Hint = "open: "+strings.Join(open, ", "), ""
		if len(closed) > 0 {
			s.Detail += "; closed: " + strings.Join(closed, ", ")
		}
	}
	if !reachable(ctx, c.Address, c.Port) && len(open) > 0 {
		s.Detail += fmt.Sprintf("; configured is %d", c.Port)
		s.Hint = "set transport.port and transport.https to what is open, or open the configured port on the host"
	}
	return []transport.Symptom{s}
}

func reachable(ctx context.Context, address string, port int) bool {
	ctx, cancel := context.WithTimeout(ctx, triageTimeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// certificateSeen describes the certificate that the host shows, trusted or not.
func (c Config) certificateSeen(ctx context.Context) []transport.Symptom {
	ctx, cancel := context.WithTimeout(ctx, triageTimeout)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: c.Address, MinVersion: tls.VersionTLS12}} //nolint:gosec // nothing is sent; it is looked at
	raw, err := d.DialContext(ctx, "tcp", c.hostport())
	if err != nil {
		return nil // the dial's own error says more
	}
	defer raw.Close()
	return []transport.Symptom{seen(raw.(*tls.Conn).ConnectionState().PeerCertificates[0], c.Address, time.Now())}
}

func seen(cert *x509.Certificate, address string, now time.Time) transport.Symptom {
	s := transport.Symptom{What: "certificate", Detail: fmt.Sprintf("%s, issued by %s, until %s, %s",
		clean(cert.Subject.String()), clean(cert.Issuer.String()), cert.NotAfter.Format(time.DateOnly), fingerprint(cert))}
	switch {
	case now.After(cert.NotAfter):
		s.Hint = hintExpired
	case cert.VerifyHostname(address) != nil:
		s.Hint = hintName
	}
	return s
}

// answer asks who is there, and reads which ways to log on are offered and
// what time it is there.
func (c Config) answer(ctx context.Context) []transport.Symptom {
	ctx, cancel := context.WithTimeout(ctx, triageTimeout)
	defer cancel()
	c.Insecure, c.CAFile, c.RootCAs, c.Fingerprint = true, "", nil, "" // it is only looked at
	l, err := dialLink(ctx, c)
	if err != nil {
		return nil
	}
	defer l.close()
	a, err := l.post(ctx, http.Header{"Content-Type": {plainType}}, nil)
	if err != nil {
		return nil
	}
	return append(offered(a.header, c.Auth), clockOf(a.header, time.Now())...)
}

func offered(h http.Header, auth string) []transport.Symptom {
	offers := h.Values("WWW-Authenticate")
	if len(offers) == 0 {
		return []transport.Symptom{{What: "logon", Detail: "it offers no way to log on", Hint: hintScheme}}
	}
	names := make([]string, len(offers))
	for i, o := range offers {
		names[i], _, _ = strings.Cut(clean(o), " ")
	}
	s := transport.Symptom{What: "logon", Detail: "offered: " + strings.Join(names, ", ")}
	switch {
	case auth == AuthBasic && !offersScheme(offers, "Basic"):
		s.Hint = hintNoBasic
	case auth == AuthNTLM && !offersScheme(offers, "Negotiate"):
		s.Hint = hintNoNTLM
	case auth == AuthKerberos && !offersScheme(offers, "Negotiate") && !offersScheme(offers, "Kerberos"):
		s.Hint = hintNoKerberos
	}
	return []transport.Symptom{s}
}

func clockOf(h http.Header, now time.Time) []transport.Symptom {
	there, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return nil
	}
	skew := now.Sub(there).Abs().Round(time.Second)
	s := transport.Symptom{What: "clock", Detail: fmt.Sprintf("%s apart from this machine's", skew)}
	if skew > maxSkew {
		s.Hint = "w32tm /resync on the host or here: Kerberos refuses clocks that are more than 5 minutes apart"
	}
	return []transport.Symptom{s}
}
