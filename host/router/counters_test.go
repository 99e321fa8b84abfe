package router

import (
	"net/http"
	"slices"
	"testing"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// The status of a gRPC call counts, wherever it is: in announced trailers, in
// others, in the header of an answer without a body, or nowhere.
func TestGRPCStatusCounts(t *testing.T) {
	t.Parallel()
	r := behind(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		switch r.URL.Path {
		case "/announced":
			w.Header().Set("Trailer", "Grpc-Status")
			w.WriteHeader(http.StatusOK)
			w.Header().Set("Grpc-Status", "14")
		case "/late":
			_ = http.NewResponseController(w).Flush()
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "5")
		case "/only":
			w.Header().Set("Grpc-Status", "0")
		case "/none":
			_, _ = w.Write([]byte("some"))
		case "/web":
			w.Header().Set("Content-Type", "application/grpc-web+proto")
		case "/strange":
			w.Header().Set("Grpc-Status", "99")
		case "/http":
			w.Header().Set("Grpc-Status", "13")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	paths := []string{"/announced", "/late", "/only", "/none", "/web", "/strange", "/http"}
	for _, path := range paths {
		r.get(path)
	}
	r.eventually("all counted", func() bool { return r.counters(release.Blue).Requests == int64(len(paths)) })
	got := r.counters(release.Blue)
	if want := []int64{1, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1}; !slices.Equal(got.GRPC, want) {
		t.Errorf("gRPC %v, want %v", got.GRPC, want)
	}
	if errors := got.Errors(); errors != 4 { // 14, two unknown, and the 503 once
		t.Errorf("%d errors, want 4", errors)
	}
	if got.Status4xx != 0 {
		t.Errorf("not found by gRPC is a 4xx of HTTP: %d", got.Status4xx)
	}
}

func TestWhoseFaultAnEndingIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ending          ending
		failed, refused bool
	}{
		{ending{status: 200, grpc: noGRPC}, false, false},
		{ending{status: 302, grpc: noGRPC}, false, false},
		{ending{status: 404, grpc: noGRPC}, false, true},
		{ending{status: 500, grpc: noGRPC}, true, false},
		{ending{status: 200, grpc: 0}, false, false},
		{ending{status: 200, grpc: 5}, false, true},
		{ending{status: 200, grpc: 14}, true, false},
		{ending{outcome: failedConnect, grpc: noGRPC}, true, false},
		{ending{outcome: failedTimeout, grpc: noGRPC}, true, false},
		{ending{outcome: failedAborted, status: 200, grpc: noGRPC}, true, false},
		{ending{outcome: canceled, status: 404, grpc: noGRPC}, false, false},
	} {
		if c.ending.isFailed() != c.failed || c.ending.isRefused() != c.refused {
			t.Errorf("%+v: failed %v, refused %v", c.ending, c.ending.isFailed(), c.ending.isRefused())
		}
	}
	sum := 0
	for code := range 17 {
		if rpc.GRPCFailed(code) {
			sum++
		}
	}
	if sum != 6 {
		t.Errorf("%d codes are the server's fault", sum)
	}
}
