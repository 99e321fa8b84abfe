package shelf

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/lab/ports"
)

// gateway is the real S3 server of the tests: it checks every signature.
var gateway = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("go", "tool", "-n", "-modfile="+filepath.Join("..", "..", "build", "s3.mod"), "versitygw")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
})

const (
	accessKey = "SHIPPERTESTACCESS"
	secretKey = "shipper-test-secret"
)

// newS3 starts the server over a folder; buckets are folders in it.
func newS3(t *testing.T) (c config.S3, root string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds an S3 server; not with -short")
	}
	exe, err := gateway()
	if err != nil {
		t.Fatalf("build versitygw from build/s3.mod: %v", err)
	}
	root = t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "bundles"), 0o755); err != nil {
		t.Fatal(err)
	}
	address := ports.Address(t)
	cmd := exec.CommandContext(t.Context(), exe, "--port", address, "posix", "--sidecar", t.TempDir(), root)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+accessKey, "ROOT_SECRET_KEY="+secretKey)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // its end is no result
		<-drained
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "http://"+address) {
	}
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, out)
	}()
	awaitListener(t, address)
	t.Setenv("SHELF_ACCESS", accessKey)
	t.Setenv("SHELF_SECRET", secretKey)
	return config.S3{
		Endpoint: "http://" + address, Region: "us-east-1", Bucket: "bundles", Prefix: "our services/",
		AccessKey: "${env:SHELF_ACCESS}", SecretKey: "${env:SHELF_SECRET}",
	}, root
}

// awaitListener returns when the server, which names its address before it
// listens there, takes connections.
func awaitListener(t *testing.T, address string) {
	t.Helper()
	limit := time.After(2 * time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the S3 server does not listen at " + address)
		}
	}
}

const token = "ghp_token_of_the_test"

// site speaks the part of GitHub's REST API that the documentation describes
// for releases and their files; GitHub itself is not reached by tests.
type site struct {
	t     *testing.T
	files *httptest.Server // where downloads are redirected to
	url   string

	mu       sync.Mutex
	releases []*published
	contents map[int64][]byte
	created  []string
}

func newGitHub(t *testing.T) (*site, config.GitHub) {
	t.Helper()
	s := &site{t: t, contents: map[int64][]byte{}}
	api := httptest.NewServer(s.api())
	s.files = httptest.NewServer(http.HandlerFunc(s.download))
	t.Cleanup(api.Close)
	t.Cleanup(s.files.Close)
	s.url = api.URL
	t.Setenv("SHELF_TOKEN", token)
	return s, config.GitHub{Repository: "acme/orders", Token: "${env:SHELF_TOKEN}", API: api.URL}
}

func (s *site) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /repos/acme/orders/releases", s.list)
	mux.HandleFunc("POST /repos/acme/orders/releases", s.create)
	mux.HandleFunc("GET /repos/acme/orders/releases/tags/{tag}", s.byTag)
	mux.HandleFunc("GET /repos/acme/orders/releases/assets/{id}", s.asset)
	mux.HandleFunc("DELETE /repos/acme/orders/releases/assets/{id}", s.remove)
	mux.HandleFunc("POST /uploads/{id}/assets", s.upload)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+token {
			refuse(w, http.StatusUnauthorized, "Bad credentials")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": text}) // to a test's own client
}

func (s *site) list(w http.ResponseWriter, r *http.Request) {
	var page int
	if _, err := fmt.Sscan(r.FormValue("page"), &page); err != nil || r.FormValue("per_page") != "100" {
		refuse(w, http.StatusBadRequest, "no page")
		return
	}
	from := min((page-1)*100, len(s.releases))
	_ = json.NewEncoder(w).Encode(s.releases[from:min(from+100, len(s.releases))])
}

func (s *site) create(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Tag    string `json:"tag_name"`
		Commit string `json:"target_commitish"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Tag == "" {
		refuse(w, http.StatusUnprocessableEntity, "Validation Failed")
		return
	}
	s.created = append(s.created, in.Tag+"@"+in.Commit)
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(s.add(in.Tag))
}

func (s *site) add(tag string) *published {
	id := int64(len(s.releases) + 1)
	r := &published{ID: id, Tag: tag, UploadURL: fmt.Sprintf("%s/uploads/%d/assets{?name,label}", s.url, id)}
	s.releases = append(s.releases, r)
	return r
}

func (s *site) byTag(w http.ResponseWriter, r *http.Request) {
	for _, p := range s.releases {
		if p.Tag == r.PathValue("tag") {
			_ = json.NewEncoder(w).Encode(p)
			return
		}
	}
	refuse(w, http.StatusNotFound, "Not Found")
}

func (s *site) upload(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || int64(len(body)) != r.ContentLength || r.Header.Get("Content-Type") != "application/zip" {
		refuse(w, http.StatusBadRequest, "no content")
		return
	}
	for _, p := range s.releases {
		if fmt.Sprint(p.ID) != r.PathValue("id") {
			continue
		}
		name := r.FormValue("name")
		if slices.ContainsFunc(p.Assets, func(a asset) bool { return a.Name == name }) {
			refuse(w, http.StatusUnprocessableEntity, "already_exists")
			return
		}
		id := int64(100 + len(s.contents))
		s.contents[id] = body
		p.Assets = append(p.Assets, asset{ID: id, Name: name, State: "uploaded"})
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(p.Assets[len(p.Assets)-1])
	}
}

func (s *site) asset(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Accept") != "application/octet-stream" {
		refuse(w, http.StatusNotAcceptable, "this is not the file")
		return
	}
	elsewhere := strings.Replace(s.files.URL, "127.0.0.1", "localhost", 1)
	http.Redirect(w, r, elsewhere+"/"+r.PathValue("id")+"?signature=of-the-storage", http.StatusFound)
}

func (s *site) download(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		s.t.Error("the token went to the storage")
	}
	var id int64
	_, err := fmt.Sscan(strings.Trim(r.URL.Path, "/"), &id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if body, ok := s.contents[id]; err == nil && ok {
		_, _ = w.Write(body)
		return
	}
	w.WriteHeader(http.StatusNotFound)
}

func (s *site) remove(w http.ResponseWriter, r *http.Request) {
	for _, p := range s.releases {
		p.Assets = slices.DeleteFunc(p.Assets, func(a asset) bool { return fmt.Sprint(a.ID) == r.PathValue("id") })
	}
	w.WriteHeader(http.StatusNoContent)
}
