package metrics_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/go-shipper/shipper/service/metrics"
)

func Example() {
	m := metrics.New(metrics.Options{Service: "orders", Version: "1.2.3", Slot: "blue"})
	taken := prometheus.NewCounter(prometheus.CounterOpts{Name: "orders_taken_total", Help: "Orders that were taken."})
	m.Registry().MustRegister(taken)

	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", func(http.ResponseWriter, *http.Request) { taken.Inc() })
	mux.Handle("GET /metrics", m.Handler())
	handler := m.Requests(mux)

	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/orders", nil))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "orders_") || strings.HasPrefix(line, "http_requests_total") {
			fmt.Print(line)
		}
	}
	// Output:
	// http_requests_total{code="200",method="POST",route="POST /orders"} 1
	// orders_taken_total 1
}
