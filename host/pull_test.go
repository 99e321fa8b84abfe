package host

import (
	"bytes"
	"compress/flate"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// Only the run that holds the session lets a host fetch something, and only
// over TLS, in bounded time.
func TestPullIsFenced(t *testing.T) {
	m := newMachine(t)
	r := m.acquire("run-1", "deploy")
	f := r.f
	part := []rpc.Part{{Digest: release.Of([]byte("x")), Size: 1, Length: 1}}
	for name, tt := range map[string]struct {
		p    rpc.Pull
		code string
	}{
		"lower fence":  {rpc.Pull{Fenced: rpc.Fenced{Service: app, Run: "run-1", Fence: r.f.Fence - 1}, URL: "https://127.0.0.1:1/", Parts: part, Timeout: time.Second}, rpc.CodeFenced},
		"clear":        {rpc.Pull{Fenced: f, URL: "http://127.0.0.1:1/", Parts: part, Timeout: time.Second}, rpc.CodeFailed},
		"a password":   {rpc.Pull{Fenced: f, URL: "https://a:b@127.0.0.1:1/", Parts: part, Timeout: time.Second}, rpc.CodeFailed},
		"no CA":        {rpc.Pull{Fenced: f, URL: "https://127.0.0.1:1/", CA: []byte("x"), Parts: part, Timeout: time.Second}, rpc.CodeFailed},
		"no time":      {rpc.Pull{Fenced: f, URL: "https://127.0.0.1:1/", Parts: part}, rpc.CodeFailed},
		"nobody there": {rpc.Pull{Fenced: f, URL: "https://127.0.0.1:1/", Parts: part, Timeout: time.Second}, rpc.CodeFailed},
		"no digest":    {rpc.Pull{Fenced: f, URL: "https://127.0.0.1:1/", Parts: []rpc.Part{{Digest: "../x", Length: 1}}, Timeout: time.Second}, rpc.CodeFailed},
		"many":         {rpc.Pull{Fenced: f, URL: "https://127.0.0.1:1/", Parts: make([]rpc.Part, maxPullParts+1), Timeout: time.Second}, rpc.CodeFailed},
	} {
		_, err := m.c.Pull(t.Context(), tt.p)
		if rpc.CodeOf(err) != tt.code {
			t.Errorf("%s: %v, want %s", name, err, tt.code)
		}
	}
}

// What a server has is taken by its digest only, however it looks.
func TestPullVerifies(t *testing.T) {
	good := []byte("content")
	var bomb bytes.Buffer
	w, err := flate.NewWriter(&bomb, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	for range 64 {
		_, _ = w.Write(make([]byte, 1<<20)) // to memory
	}
	w.Close()
	var served []byte
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(served))
	}))
	defer server.Close()
	m := newMachine(t)
	r := m.acquire("run-1", "deploy")
	ask := rpc.Pull{Fenced: r.f, URL: server.URL, Timeout: time.Minute,
		CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})}
	pull := func(body []byte, deflate bool) error {
		served = body
		ask.Parts = []rpc.Part{{Digest: release.Of(good), Size: int64(len(good)), Length: int64(len(served)), Deflate: deflate}}
		_, err := m.c.Pull(t.Context(), ask)
		return err
	}
	m.code(pull([]byte("c0ntent"), false), rpc.CodeVerification)
	m.code(pull([]byte("conten"), false), rpc.CodeVerification)
	m.code(pull(append(bytes.Clone(good), 'x'), false), rpc.CodeVerification)
	m.code(pull(bomb.Bytes(), true), rpc.CodeVerification)
	have := rpc.Have{Digests: []release.Digest{release.Of(good)}}
	if reply, err := m.c.Have(t.Context(), have); err != nil || len(reply.Missing) != 1 {
		t.Errorf("%+v: %v", reply, err)
	}
	if err := pull(good, false); err != nil {
		t.Error(err)
	}
	if reply, err := m.c.Have(t.Context(), have); err != nil || len(reply.Missing) != 0 {
		t.Errorf("%+v: %v", reply, err)
	}
}
