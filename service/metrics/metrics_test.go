package metrics

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/go-shipper/shipper/service/log"
)

// whole has all that a service can have.
func whole(t *testing.T) (*Metrics, http.Handler) {
	t.Helper()
	m := New(Options{Service: "orders", Version: "1.2.3", Slot: "blue"})
	l, err := log.Open(log.Options{Output: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	m.Log(l)
	m.Health("database", func(context.Context) error { return nil })
	m.Health("queue", func(context.Context) error { return errors.New("away") })
	m.State(func() string { return "RUNNING" }, "RUNNING", "DEGRADED")
	taken := prometheus.NewCounter(prometheus.CounterOpts{Name: "orders_taken_total", Help: "Orders."})
	taken.Add(7)
	m.Registry().MustRegister(taken)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	mux.HandleFunc("GET /orders/{id}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/panics", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	return m, m.Requests(mux)
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestWhatIsCounted(t *testing.T) {
	m, h := whole(t)
	for _, r := range []string{"POST /orders", "GET /orders/7", "GET /orders/8", "GET /nowhere", "GET /elsewhere", "BREW /orders", "GET /panics"} {
		method, path, _ := strings.Cut(r, " ")
		func() {
			defer func() { recover() }()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil))
		}()
	}
	text := scrape(t, m)
	for _, want := range []string{
		`http_requests_total{code="201",method="POST",route="POST /orders"} 1`,
		`http_requests_total{code="200",method="GET",route="GET /orders/{id}"} 2`,
		`http_requests_total{code="404",method="GET",route="other"} 2`,
		`http_requests_total{code="405",method="other",route="other"} 1`,
		`http_requests_total{code="500",method="GET",route="/panics"} 1`,
		`http_request_duration_seconds_count{route="GET /orders/{id}"} 2`,
		`http_requests_in_flight 0`,
		`service_info{service="orders",slot="blue",version="1.2.3"} 1`,
		`service_healthy{check="database"} 1`,
		`service_healthy{check="queue"} 0`,
		`service_state{state="RUNNING"} 1`,
		`service_state{state="DEGRADED"} 0`,
		`service_log_dropped_total 0`,
		`orders_taken_total 7`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	for _, want := range []string{"go_goroutines ", "process_cpu_seconds_total ", "process_resident_memory_bytes ", `machine_memory_bytes{kind="total"} `, "machine_cpu_busy_ratio "} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no %s", want)
		}
	}
	promtool(t, text, "check", "metrics")
}

// What a client sends makes no series.
func TestClientsMakeNoSeries(t *testing.T) {
	m, h := whole(t)
	before := strings.Count(scrape(t, m), "http_requests_total{")
	for range 100 {
		path := "/" + strings.Repeat("x", 1+before)
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("M"+strings.ToUpper(path[1:]), path, nil))
		before++
	}
	if n := strings.Count(scrape(t, m), "http_requests_total{"); n != 1 {
		t.Errorf("%d series", n)
	}
}

func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: build/ensure promtool")
	}
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

const ops = "../../examples/orders/ops"

func TestAlertRules(t *testing.T) {
	promtool(t, "", "check", "rules", filepath.Join(ops, "alerts.yml"))
	promtool(t, "", "test", "rules", filepath.Join(ops, "alerts_test.yml"))
}

var (
	notNames = regexp.MustCompile(`"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b\w+\s+(?:by|without)\s*\([^)]*\)|\b(?:on|ignoring|group_left)\s*\([^)]*\)`)
	names    = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\(?`)
)

// metricNames are the metrics that an expression asks for.
func metricNames(expr string) (all []string) {
	for _, name := range names.FindAllString(notNames.ReplaceAllString(expr, " "), -1) {
		if !strings.HasSuffix(name, "(") {
			all = append(all, name)
		}
	}
	return all
}

// Dashboard and alerts ask for what the endpoint really gives.
func TestDashboardAndAlertsNameRealMetrics(t *testing.T) {
	m, h := whole(t)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/orders", nil))
	given := scrape(t, m)
	asked := 0
	for _, expr := range append(dashboard(t), alerts(t)...) {
		found := metricNames(strings.NewReplacer(" and ", " ", " or ", " ", " unless ", " ").Replace(expr))
		if len(found) == 0 {
			t.Errorf("%s asks for nothing", expr)
		}
		for _, name := range found {
			asked++
			if name != "up" && !regexp.MustCompile(`(?m)^`+name+`[ {]`).MatchString(given) {
				t.Errorf("%s asks for %s, which is not there", expr, name)
			}
		}
	}
	if asked < 30 {
		t.Errorf("only %d metrics are asked for", asked)
	}
}

func BenchmarkRequests(b *testing.B) {
	m := New(Options{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, bytes.NewReader(nil)) })
	h := m.Requests(mux)
	r := httptest.NewRequest("GET", "/orders/7", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
