//go:build !windows

package winrm

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/wsman"
	"github.com/go-shipper/shipper/transport"
)

// found picks what Triage says about one thing.
func found(seen []transport.Symptom, what string) transport.Symptom {
	for _, s := range seen {
		if s.What == what {
			return s
		}
	}
	return transport.Symptom{}
}

func TestTriage(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	seen := Triage(t.Context(), h.http)
	if s := found(seen, "logon"); s.Hint != "" || !strings.Contains(s.Detail, "Negotiate") {
		t.Errorf("a host that offers Negotiate: %+v", s)
	}
	if s := found(seen, "clock"); s.Hint != "" || s.Detail == "" {
		t.Errorf("a clock like ours: %+v", s)
	}
	cfg := h.https
	cfg.CAFile = ""
	if s := found(Triage(t.Context(), cfg), "certificate"); !strings.Contains(s.Detail, fingerprintPrefix) {
		t.Errorf("a certificate of an unknown authority: %+v", s)
	}
}

func TestSymptoms(t *testing.T) {
	now := time.Now()
	offers := func(schemes ...string) http.Header { return http.Header{"Www-Authenticate": schemes} }
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "web1"}, DNSNames: []string{"web1"}, NotAfter: now.Add(time.Hour)}
	old := &x509.Certificate{DNSNames: []string{"web1"}, NotAfter: now.Add(-time.Hour)}
	late := http.Header{"Date": {now.Add(-time.Hour).UTC().Format(http.TimeFormat)}}
	cases := []struct {
		name string
		got  transport.Symptom
		hint string
	}{
		{"valid certificate", seen(cert, "web1", now), ""},
		{"another name", seen(cert, "web2", now), hintName},
		{"expired", seen(old, "web1", now), hintExpired},
		{"no Basic", offered(offers("Negotiate"), AuthBasic)[0], hintNoBasic},
		{"no Negotiate", offered(offers(`Basic realm="WSMAN"`), AuthNTLM)[0], hintNoNTLM},
		{"no Kerberos", offered(offers(`Basic realm="WSMAN"`), AuthKerberos)[0], hintNoKerberos},
		{"Kerberos by Negotiate", offered(offers("Negotiate"), AuthKerberos)[0], ""},
		{"nothing offered", offered(http.Header{}, AuthNTLM)[0], hintScheme},
		{"clock", clockOf(late, now)[0], "w32tm /resync on the host or here: Kerberos refuses clocks that are more than 5 minutes apart"},
	}
	for _, c := range cases {
		if c.got.Hint != c.hint {
			t.Errorf("%s: %+v", c.name, c.got)
		}
	}
}

func TestQuotas(t *testing.T) {
	h := startHost(t, wsman.Limits{Shells: 7, Operations: 20, EnvelopeKB: 300})
	q, err := dial(t, h.http).(*conn).Quotas(t.Context())
	if err != nil || q.Shells != 7 || q.Operations != 20 || q.EnvelopeKB != 300 || q.MemoryMB != 0 {
		t.Errorf("%+v, %v", q, err)
	}
}
