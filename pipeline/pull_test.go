package pipeline

import (
	"bytes"
	"encoding/pem"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
)

// shelved serves the bundle to those who have the token, and counts them.
type shelved struct {
	bundle []byte
	asked  atomic.Int32
}

func (s *shelved) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	if r.Header.Get("Authorization") != "Bearer "+pullToken {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.bundle))
}

const pullToken = "kept-in-memory-only"

// A host fetches what it misses itself; whatever goes wrong on that way is
// told, and the bundle is pushed.
func TestHostFetchesBundle(t *testing.T) {
	dir := t.TempDir()
	bundle := pack(t, dir, "1.0.0", map[string][]byte{
		"orders": []byte("#!/bin/sh\n"), "data/large.bin": bytes.Repeat([]byte("0123456789 large "), 60_000), "empty": nil,
	})
	body, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(body)
	for i := range damaged {
		damaged[i] ^= 1
	}
	clear := &shelved{bundle: body}
	plain := httptest.NewServer(clear)
	defer plain.Close()
	good := &shelved{bundle: body}
	whole := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		good.ServeHTTP(w, r)
	})
	tests := map[string]struct {
		serve http.Handler
		token string
		says  string // of the warning; empty: it works
	}{
		"parts":            {good, pullToken, ""},
		"no ranges":        {whole, pullToken, ""},
		"wrong token":      {good, "other", "401"},
		"not there":        {http.NotFoundHandler(), pullToken, "404"},
		"damaged":          {&shelved{bundle: damaged}, pullToken, "flate"},
		"other part":       {other(good), pullToken, "another part"},
		"into the clear":   {http.RedirectHandler(plain.URL, http.StatusFound), pullToken, "not https"},
		"redirects always": {http.RedirectHandler("/again", http.StatusFound), pullToken, "redirects"},
		"cut":              {cut(body), pullToken, "EOF"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewTLSServer(tt.serve)
			defer server.Close()
			t.Setenv("SHELF_TOKEN", tt.token)
			b := newBed(t)
			b.target.Bundles = config.Bundles{URL: server.URL + "/orders/", Token: "${env:SHELF_TOKEN}", Pull: true, CA: authority(t, server)}
			pushed := b.pushes(b.pipeline(), bundle)["web1"]
			if tt.says == "" && (pushed.Wire != 0 || pushed.Pulled != 3 || pushed.Fetched == 0 || len(b.all(journal.TypeWarning)) != 0) {
				t.Errorf("%+v\n%s", pushed, b.story())
			}
			if warned := b.all(journal.TypeWarning); tt.says != "" && (len(warned) != 1 || !strings.Contains(string(warned[0].Data), tt.says) || pushed.Wire == 0) {
				t.Errorf("%+v, warned %s", pushed, b.story())
			}
			if strings.Contains(b.story(), tt.token) {
				t.Error("the token is in the story")
			}
			b.machines["web1"].nowhere(t, tt.token)
		})
	}
	if clear.asked.Load() > 0 {
		t.Error("a host asked in the clear")
	}
}

// Where the certificate is of an authority that nobody named, the host sends no token.
func TestHostFetchesFromTheRightServer(t *testing.T) {
	bundle := pack(t, t.TempDir(), "1.0.0", map[string][]byte{"orders": []byte("#!/bin/sh\n")})
	served := &shelved{}
	server := httptest.NewUnstartedServer(served)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	t.Setenv("SHELF_TOKEN", pullToken)
	b := newBed(t)
	b.target.Bundles = config.Bundles{URL: server.URL, Token: "${env:SHELF_TOKEN}", Pull: true}
	if pushed := b.pushes(b.pipeline(), bundle)["web1"]; pushed.Wire == 0 || !strings.Contains(b.story(), "certificate") || served.asked.Load() > 0 {
		t.Errorf("%+v\n%s", pushed, b.story())
	}
	b = newBed(t)
	b.target.Bundles = config.Bundles{URL: server.URL, Token: "${env:NO_SUCH_TOKEN}", Pull: true}
	if pushed := b.pushes(b.pipeline(), bundle)["web1"]; pushed.Wire == 0 || !strings.Contains(b.story(), "NO_SUCH_TOKEN") {
		t.Errorf("%+v\n%s", pushed, b.story())
	}
}

// other answers each question with the beginning.
func other(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Range", "bytes=0-9")
		h.ServeHTTP(w, r)
	})
}

// cut promises all and sends half.
func cut(body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write(body[:20]) // the client may be gone
	})
}

func authority(t *testing.T, s *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// nowhere looks for a secret in all that lies on the host.
func (m *machine) nowhere(t *testing.T, secret string) {
	t.Helper()
	err := filepath.WalkDir(m.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // what goes away meanwhile
		}
		if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s holds the token", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
