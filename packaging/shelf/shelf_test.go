package shelf

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// bundle writes one of a version, whose contents are the text.
func bundle(t *testing.T, version, text string) (path string, r release.Release) {
	t.Helper()
	body := []byte(text)
	m := packaging.Manifest{
		Protocol: packaging.Protocol, Name: "orders", Version: version, Commit: strings.Repeat("c", 40), Builder: "prebuilt",
		Targets: []packaging.TargetManifest{{GOOS: "windows", GOARCH: "amd64", Executable: "orders.exe", Files: []release.File{
			{Path: "orders.exe", Size: int64(len(body)), SHA256: release.Of(body)},
		}}},
	}
	var out bytes.Buffer
	m, err := packaging.WriteBundle(&out, m, func(packaging.TargetManifest, release.File) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(body)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "bundle.zip")
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path, packaging.Release(m)
}

// keeps is what every shelf that takes bundles promises. damage changes a byte
// of the only file there.
func keeps(t *testing.T, c config.Bundles, damage func()) {
	t.Helper()
	s := Later(c, "")
	first, r := bundle(t, "1.0.0", "first")
	push := func(path string) (packaging.Listed, bool, error) { return packaging.Push(t.Context(), s, path) }
	l, already, err := push(first)
	if err != nil || already || l.Version != "1.0.0" {
		t.Fatalf("push: %+v, already %v, %v", l, already, err)
	}
	if _, already, err := push(first); err != nil || !already {
		t.Errorf("push again: already %v, %v", already, err)
	}
	other, _ := bundle(t, "1.0.0", "other contents")
	if _, _, err := push(other); problem.KindOf(err) != problem.Verification || problem.HintOf(err) == "" {
		t.Errorf("other contents under the same version: %v", err)
	}
	b, err := packaging.Take(t.Context(), s, "orders", "^1")
	if err != nil || b.Release() != r {
		t.Fatalf("take: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	damage()
	if _, err := packaging.Take(t.Context(), s, "orders", "1.0.0"); problem.KindOf(err) != problem.Verification {
		t.Errorf("a damaged bundle was taken: %v", err)
	}
	if _, _, err := push(first); problem.KindOf(err) != problem.Verification {
		t.Errorf("push over a damaged one: %v", err)
	}
	second, _ := bundle(t, "1.1.0-rc.1", "second")
	if _, _, err := push(second); err != nil {
		t.Error(err)
	}
	if all, err := s.List(t.Context(), "orders"); err != nil || len(all) != 2 {
		t.Errorf("list: %+v, %v", all, err)
	}
	if all, err := s.List(t.Context(), "order"); err != nil || len(all) != 0 {
		t.Errorf("bundles of another service: %+v, %v", all, err)
	}
}

// flip changes one byte in the middle of the only bundle below dir.
func flip(t *testing.T, dir string) func() {
	return func() {
		found := 0
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".zip") || d.IsDir() {
				return err
			}
			found++
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			raw[len(raw)/2] ^= 1
			return os.WriteFile(path, raw, 0o644)
		})
		if err != nil || found != 1 {
			t.Fatalf("%d bundles below %s, %v", found, dir, err)
		}
	}
}

func TestFolderKeepsBundles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	keeps(t, config.Bundles{Folder: dir}, flip(t, dir))
}

func TestBucketKeepsBundles(t *testing.T) {
	c, root := newS3(t)
	keeps(t, config.Bundles{S3: &c}, flip(t, root))
	wrong := c
	t.Setenv("SHELF_WRONG", "not-the-secret")
	wrong.SecretKey = "${env:SHELF_WRONG}"
	_, err := Later(config.Bundles{S3: &wrong}, "").List(t.Context(), "orders")
	if !strings.Contains(problem.HintOf(err), "credentials") || strings.Contains(err.Error(), "not-the-secret") {
		t.Errorf("wrong secret: %v (%s)", err, problem.HintOf(err))
	}
}

// Of two that push the same name at once the second changes nothing.
func TestBucketIsNotOverwritten(t *testing.T) {
	c, root := newS3(t)
	s, err := Open(config.Bundles{S3: &c}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"somebody was faster", "too late"} {
		f, err := os.Create(filepath.Join(t.TempDir(), "file"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		err = s.(*bucket).put(t.Context(), f, "x.zip")
		if late := text == "too late"; late != isStatus(err, http.StatusPreconditionFailed) || !late && err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(root, "bundles", "our services", "x.zip")); err != nil || string(got) != "somebody was faster" {
		t.Errorf("it was overwritten: %.20q, %v", got, err)
	}
}

func TestGitHubReleasesKeepBundles(t *testing.T) {
	hub, c := newGitHub(t)
	hub.add("v0.9.0").Draft = true
	hub.releases[0].Assets = []asset{{ID: 1, Name: packaging.FileName("orders", release.Release{Version: "0.9.0", Digest: release.Of(nil)}), State: "uploaded"}}
	for i := range 120 { // more than a page
		hub.add(fmt.Sprintf("other-%d", i))
	}
	keeps(t, config.Bundles{GitHub: &c}, func() {
		for id := range hub.contents {
			hub.contents[id] = bytes.Replace(hub.contents[id], []byte("PK"), []byte("pk"), 1)
		}
	})
	if want := "v1.0.0@" + strings.Repeat("c", 40); len(hub.created) != 2 || hub.created[0] != want {
		t.Errorf("releases made: %q, want %q and one more", hub.created, want)
	}
	untagged, _ := bundle(t, "0.0.0-20261122093544.310e760", "x")
	if _, _, err := packaging.Push(t.Context(), Later(config.Bundles{GitHub: &c}, ""), untagged); problem.KindOf(err) != problem.Usage {
		t.Errorf("a build without a tag: %v", err)
	}
}

// An upload that broke leaves a torso, which the next one replaces.
func TestGitHubTorsoIsReplaced(t *testing.T) {
	hub, c := newGitHub(t)
	path, r := bundle(t, "1.0.0", "first")
	hub.add("v1.0.0").Assets = []asset{{ID: 7, Name: packaging.FileName("orders", r), State: "starter"}}
	if _, already, err := packaging.Push(t.Context(), Later(config.Bundles{GitHub: &c}, ""), path); err != nil || already {
		t.Errorf("already %v, %v", already, err)
	}
	t.Setenv("SHELF_TOKEN", "wrong")
	_, err := Later(config.Bundles{GitHub: &c}, "").List(t.Context(), "orders")
	if !strings.Contains(problem.HintOf(err), "credentials") {
		t.Errorf("wrong token: %v (%s)", err, problem.HintOf(err))
	}
}

// newWeb serves a folder over TLS to those who have the token.
func newWeb(t *testing.T, dir string) config.Bundles {
	t.Helper()
	files := http.FileServer(http.Dir(dir))
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/away"):
			http.Redirect(w, r, "http://example.invalid/", http.StatusFound)
		case strings.HasPrefix(r.URL.Path, "/round"):
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		case r.Header.Get("Authorization") != "Bearer "+token:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			files.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SHELF_TOKEN", token)
	return config.Bundles{URL: server.URL, Token: "${env:SHELF_TOKEN}", CA: ca}
}

func TestWebServerHasBundles(t *testing.T) {
	dir := t.TempDir()
	path, r := bundle(t, "1.0.0", "first")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	name := packaging.FileName("orders", r)
	sum := sha256.Sum256(raw)
	list := hex.EncodeToString(sum[:]) + "  " + name + "\n" + hex.EncodeToString(sum[:]) + "  other.txt\n"
	for file, text := range map[string][]byte{name: raw, "checksums.txt": []byte(list)} {
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := newWeb(t, dir)
	b, err := packaging.Take(t.Context(), Later(c, ""), "orders", "1.0.0")
	if err != nil || b.Release() != r {
		t.Fatalf("take: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := packaging.Push(t.Context(), Later(c, ""), path); err != nil { // it is there
		t.Error(err)
	}
	second, _ := bundle(t, "1.1.0", "second")
	if _, _, err := packaging.Push(t.Context(), Later(c, ""), second); problem.KindOf(err) != problem.Usage {
		t.Errorf("push to a web server: %v", err)
	}
	untrusted := c
	untrusted.CA = ""
	if _, err := Later(untrusted, "").List(t.Context(), "orders"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
}

func TestRedirectsAreBounded(t *testing.T) {
	c := newWeb(t, t.TempDir())
	for path, want := range map[string]string{"/away": "not https", "/round": "redirects"} {
		bad := c
		bad.URL += path
		if _, err := Later(bad, "").List(t.Context(), "orders"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for address, ok := range map[string]bool{"https://x": true, "http://x": false, "http://127.0.0.1:1": true, "http://localhost": true, "ftp://localhost": false, "http://10.0.0.1": false} {
		u, err := url.Parse(address)
		if err != nil || (secure(u) == nil) != ok {
			t.Errorf("%s: %v", address, secure(u))
		}
	}
}
