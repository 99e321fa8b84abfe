package prometheus

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/promtest"
	"github.com/go-shipper/shipper/rollout/analysis/fetch"
)

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
	address := promtest.Start(t, strings.TrimPrefix(metrics.URL, "http://"), 100*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	sum := source(t, address, "sum(requests)")
	for { // until it is up and has scraped
		v, err := sum.Measure(ctx)
		if err == nil && v.Number == 10 {
			break
		}
		select {
		case <-again.C:
		case <-ctx.Done():
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
