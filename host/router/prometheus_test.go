package router

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

// A real Prometheus scrapes the router and answers from what it took in.
func TestPrometheusScrapes(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed: build/ensure promtool")
	}
	r := start(t, Options{})
	route := r.route(backend(t, "blue"), backend(t, "green"), 2500)
	route.Metrics = freeAddr(t)
	r.put(route)
	for range 20 {
		r.get("/")
	}
	r.eventually("counted", func() bool {
		return r.counters(release.Blue).Requests+r.counters(release.Green).Requests == 20
	})
	addr := runPrometheus(t, program, route.Metrics)
	for query, want := range map[string]string{
		`sum(shipper_router_requests_total{service="orders",outcome="success"})`:                         "20",
		`sum(shipper_router_request_duration_seconds_count)`:                                             "20",
		`shipper_router_weight_ratio{slot="green"}`:                                                      "0.25",
		`histogram_quantile(1, sum by (le) (shipper_router_request_duration_seconds_bucket)) < bool 135`: "1",
	} {
		var got string
		r.eventually(query+" is "+want, func() bool {
			got = promQuery(r.ctx, addr, query)
			return got == want
		})
	}
}

// runPrometheus scrapes target every 200 ms until the test ends.
func runPrometheus(t *testing.T, program, target string) (addr string) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("scrape_configs: [{job_name: router, scrape_interval: 200ms, scrape_timeout: 200ms, static_configs: [{targets: [%q]}]}]\n", target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	addr = freeAddr(t)
	cmd := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--log.level=error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.Process.Signal(syscall.SIGTERM) != nil {
			cmd.Process.Kill()
		}
		_ = cmd.Wait() // it has done its part
	})
	return addr
}

// promQuery is the value of a query with one result; empty: none yet.
func promQuery(ctx context.Context, addr, query string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/api/v1/query?query="+url.QueryEscape(query), nil)
	if err != nil {
		return ""
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	var reply struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if json.NewDecoder(res.Body).Decode(&reply) != nil || len(reply.Data.Result) != 1 {
		return ""
	}
	return fmt.Sprint(reply.Data.Result[0].Value[1])
}
