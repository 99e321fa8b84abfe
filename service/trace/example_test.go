package trace_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/go-shipper/shipper/service/trace"
)

func Example() {
	handler := trace.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, _ := trace.From(r.Context())
		fmt.Printf("%x\n", p.Trace)
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	handler.ServeHTTP(httptest.NewRecorder(), r)
	// Output: 4bf92f3577b34da6a3ce929d0e0e4736
}
