package router

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/promtest"
	"github.com/go-shipper/shipper/release"
)

// A real Prometheus scrapes the router and answers from what it took in.
func TestPrometheusScrapes(t *testing.T) {
	t.Parallel()
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
	addr := promtest.Start(t, route.Metrics, 200*time.Millisecond)
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

// promQuery is the value of a query with one result; empty: none yet.
func promQuery(ctx context.Context, addr, query string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, addr+"/api/v1/query?query="+url.QueryEscape(query), nil)
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
