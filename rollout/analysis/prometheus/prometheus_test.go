package prometheus

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/rollout/analysis/fetch"
)

// server starts Debian's Prometheus, which scrapes target.
func server(t *testing.T, target string) string {
	t.Helper()
	exe, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed: build/ensure promtool")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 100ms}\nscrape_configs: [{job_name: test, static_configs: [{targets: [%q]}]}]\n", target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	return "http://" + address
}

func source(t *testing.T, server, query string) *Source {
	t.Helper()
	s, err := New(server, query, fetch.Options{Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRealServer(t *testing.T) {
	t.Parallel()
	metrics := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "requests{slot=\"blue\"} 7\nrequests{slot=\"green\"} 3\n")
	}))
	defer metrics.Close()
	address := server(t, strings.TrimPrefix(metrics.URL, "http://"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sum := source(t, address, "sum(requests)")
	for { // until it is up and has scraped
		v, err := sum.Measure(ctx)
		if err == nil && v.Number == 10 {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("%v, %v", v, err)
		}
	}
	for query, want := range map[string]string{
		`requests{slot="green"}`:           "3",
		`scalar(requests{slot="blue"})`:    "7",
		`sum(requests) * 0 / 0 * 0`:        "NaN",
		`requests`:                         "the query gives 2 values",
		`requests{slot="red"}`:             "the query gives nothing: no data",
		`requests[1m]`:                     "the query gives a matrix",
		`sum(`:                             "status 400: ",
		`rate(requests{slot="blue"}[1m])*`: "status 400: ",
	} {
		v, err := source(t, address+"/", query).Measure(ctx)
		got := v.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// What is no Prometheus is an error, and none tells a secret.
func TestNoPrometheus(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"a page":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>log on first</html>") },
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
		"too much":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", 2<<20)) },
		"no sample": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"status":"success","data":{"resultType":"scalar","result":[1,2]}}`)
		},
		"silence": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		s := httptest.NewServer(answer)
		from, err := New(s.URL, "up", fetch.Options{Header: map[string]string{"Authorization": "Bearer hunter2"}, Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		v, err := from.Measure(t.Context())
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, %v", name, v, err)
		}
		s.CloseClientConnections()
		s.Close()
		if _, err := from.Measure(t.Context()); err == nil {
			t.Errorf("%s: a server that is gone gives no error", name)
		}
	}
}
