package web

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/rollout/analysis/fetch"
)

const document = `{"data": {"items": [{"rate": 0.25}, {"rate": "1e3"}], "state": "green", "ok": true, "none": null}}`

func TestMeasure(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "u" || password != "p" || r.Header.Get("X-Team") != "orders" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, document)
	}))
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	access := fetch.Options{User: "u", Password: "p", Header: map[string]string{"X-Team": "orders"}, CA: ca, Timeout: 10 * time.Second}
	for path, want := range map[string]string{
		"data.items[0].rate": "0.25", "$.data.items[1].rate": "1000", "data.state": `"green"`, "data.ok": `"true"`, "": "200",
		"data.none": "no number", "data.items": "no number", "data.items[2].rate": "has no data.items.2", "data.items[-1]": "has no", "nope": "has no nope",
	} {
		from, err := New(s.URL, path, access)
		if err != nil {
			t.Fatal(err)
		}
		v, err := from.Measure(t.Context())
		got := v.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
	access.Password = "wrong"
	from, err := New(s.URL, "data.ok", access)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := from.Measure(t.Context()); err == nil || !strings.Contains(err.Error(), "status 403") {
		t.Errorf("refused: %v, %v", v, err)
	}
	access.CA = ""
	if from, err = New(s.URL, "", access); err != nil {
		t.Fatal(err)
	}
	if v, err := from.Measure(t.Context()); err == nil {
		t.Errorf("a certificate that nobody trusts: %v", v)
	}
	for _, bad := range []string{"data..x", "data.*", "a[?(@.x)]"} {
		if _, err := ParsePath(bad); err == nil {
			t.Errorf("path %q is taken", bad)
		}
	}
}
