package router

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"testing"
)

// do sends a request of one's own making.
func (r *rig) do(req *http.Request) (*http.Response, string) {
	r.t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, string(text)
}

func TestForwardedHeaders(t *testing.T) {
	t.Parallel()
	forged := http.Header{
		"X-Forwarded-For": {"6.6.6.6, 7.7.7.7"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Proto": {"https"},
		"X-Forwarded-Port": {"1"}, "Forwarded": {"for=6.6.6.6"}, "X-Real-Ip": {"6.6.6.6"}, "X_forwarded_for": {"6.6.6.6"},
		"X-Forward": {"kept"}, "From": {"kept"},
	}
	for _, c := range []struct {
		what    string
		peer    string
		trusted []string
		https   bool
		client  string
		want    http.Header
	}{
		{"a stranger", "10.0.0.1:5", []string{"10.0.0.2"}, false, "10.0.0.1", http.Header{
			"X-Forwarded-For": {"10.0.0.1"}, "X-Forwarded-Host": {"shop"}, "X-Forwarded-Proto": {"http"},
		}},
		{"a stranger over tls", "[::ffff:10.0.0.1]:5", nil, true, "10.0.0.1", http.Header{
			"X-Forwarded-For": {"10.0.0.1"}, "X-Forwarded-Host": {"shop"}, "X-Forwarded-Proto": {"https"},
		}},
		{"a proxy", "10.0.0.2:5", []string{"10.0.0.2"}, false, "7.7.7.7", http.Header{
			"X-Forwarded-For": {"6.6.6.6, 7.7.7.7, 10.0.0.2"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Proto": {"https"},
			"X-Forwarded-Port": {"1"}, "X-Real-Ip": {"6.6.6.6"},
		}},
		{"proxies in a row", "10.0.0.2:5", []string{"10.0.0.0/24", "7.7.7.7"}, false, "6.6.6.6", http.Header{
			"X-Forwarded-For": {"6.6.6.6, 7.7.7.7, 10.0.0.2"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Proto": {"https"},
			"X-Forwarded-Port": {"1"}, "X-Real-Ip": {"6.6.6.6"},
		}},
	} {
		trusted, err := parseNetworks(c.trusted)
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{RemoteAddr: c.peer, Host: "shop", Header: forged.Clone()}
		if got := cleanForwarded(r, trusted, c.https); got != netip.MustParseAddr(c.client) {
			t.Errorf("%s: client %v, want %s", c.what, got, c.client)
		}
		c.want["X-Forward"], c.want["From"] = []string{"kept"}, []string{"kept"}
		if fmt.Sprint(r.Header) != fmt.Sprint(c.want) {
			t.Errorf("%s:\n%v, want\n%v", c.what, r.Header, c.want)
		}
	}
}

func TestBehindAChainThatLies(t *testing.T) {
	t.Parallel()
	trusted, err := parseNetworks([]string{"10.0.0.0/8", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for chain, want := range map[string]string{
		"":                           "10.0.0.1",
		"1.1.1.1":                    "1.1.1.1",
		"1.1.1.1:443":                "1.1.1.1",
		"[2001:db8::1]:443, fd00::1": "2001:db8::1",
		"1.1.1.1, nonsense":          "10.0.0.1",
		"nonsense, 2.2.2.2":          "2.2.2.2",
		"1.1.1.1,, 10.0.0.9":         "10.0.0.9",
		"10.0.0.8":                   "10.0.0.8",
	} {
		if got := origin([]string{chain}, netip.MustParseAddr("10.0.0.1"), trusted); got != netip.MustParseAddr(want) {
			t.Errorf("%q: %v, want %s", chain, got, want)
		}
	}
}
