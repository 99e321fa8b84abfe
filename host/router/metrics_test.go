package router

import (
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// scraped is an exposition as a reader sees it: values by name and labels.
func scraped(t *testing.T, text string) map[string]float64 {
	t.Helper()
	line := regexp.MustCompile(`^([a-z_]+(?:\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*\})?) (\S+)$`)
	values := map[string]float64{}
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		if strings.HasPrefix(l, "# HELP ") || strings.HasPrefix(l, "# TYPE ") {
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil {
			t.Fatalf("line %q", l)
		}
		v, err := strconv.ParseFloat(m[2], 64)
		if _, twice := values[m[1]]; err != nil || twice {
			t.Fatalf("line %q: %v, twice: %v", l, err, twice)
		}
		values[m[1]] = v
	}
	return values
}

func TestExposition(t *testing.T) {
	t.Parallel()
	latency := make([]int64, release.LatencyBuckets)
	for _, d := range []time.Duration{time.Microsecond, time.Millisecond, 3 * time.Millisecond, 100 * time.Second, time.Hour} {
		latency[release.LatencyBucket(d)]++
	}
	view := View{Route: Route{Service: `a"b\c` + "\n", Stable: release.Blue, Canary: release.Green}, Effective: 250, Remaining: 20 * time.Second}
	view.Out = map[release.Slot]string{release.Green: "ill"}
	got := scraped(t, string(expose([]measured{{View: view, dropped: 7, slots: slotSums{release.Blue: {
		Requests: 20, Status4xx: 1, Status5xx: 2, Connect: 3, Timeout: 1, Aborted: 1, Canceled: 2, Bytes: 1 << 40,
		GRPC: []int64{4, 0, 5}, Latency: latency, Took: int64(1500 * time.Millisecond), Clients: 9, ClientErrors: 4,
	}}}})))
	blue := func(name string, more string) string {
		return fmt.Sprintf(`shipper_router_%s{service="a\"b\\c\n",slot="blue"%s}`, name, more)
	}
	for series, want := range map[string]float64{
		blue("requests_total", `,outcome="success"`):                    10,
		blue("requests_total", `,outcome="connect_failure"`):            3,
		blue("grpc_answers_total", `,code="2"`):                         5,
		blue("request_duration_seconds_bucket", `,le="0.000256"`):       1,
		blue("request_duration_seconds_bucket", `,le="0.001024"`):       2,
		blue("request_duration_seconds_bucket", `,le="67.108864"`):      3,
		blue("request_duration_seconds_bucket", `,le="+Inf"`):           5,
		blue("request_duration_seconds_count", ""):                      5,
		blue("request_duration_seconds_sum", ""):                        1.5,
		blue("response_bytes_total", ""):                                1 << 40,
		blue("clients_total", ""):                                       9,
		blue("client_errors_total", ""):                                 4,
		blue("weight_ratio", ""):                                        0.975,
		blue("slot_healthy", ""):                                        1,
		`shipper_router_slot_healthy{service="a\"b\\c\n",slot="green"}`: 0,
		`shipper_router_weight_ratio{service="a\"b\\c\n",slot="green"}`: 0.025,
		`shipper_router_lease_seconds{service="a\"b\\c\n"}`:             20,
		`shipper_router_access_log_dropped_total{service="a\"b\\c\n"}`:  7,
	} {
		if v, ok := got[series]; !ok || math.Abs(v-want) > 1e-9 {
			t.Errorf("%s is %v, %v, want %v", series, v, ok, want)
		}
	}
	last := -1.0
	for i := fromOctave; i < release.LatencyBuckets-1; i += octave {
		le := release.LatencyBound(i).Seconds()
		v := got[blue("request_duration_seconds_bucket", `,le="`+number(le)+`"`)]
		if v < last {
			t.Errorf("bucket %v has %v, less than the one before", le, v)
		}
		last = v
	}
}

// Several services share an address for metrics, and it is served only while
// somebody wants it; what is taken is tried again.
func TestMetricsAreServedWhereWanted(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	addr := freeAddr(t)
	held, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	route := r.route(backend(t, "blue"), "", 0)
	route.Metrics = addr
	r.put(route)
	if v := r.view(); v.MetricsProblem == "" || v.Problem != "" {
		t.Errorf("an address that is taken: %+v", v)
	}
	held.Close()
	r.eventually("served", func() bool { return r.view().MetricsProblem == "" })
	other := r.route(backend(t, "other"), "", 0)
	other.Service, other.Listen, other.Metrics = "other", freeAddr(t), addr
	r.put(other)
	silent := r.route(backend(t, "silent"), "", 0)
	silent.Service, silent.Listen = "silent", freeAddr(t)
	r.put(silent)
	r.get("/")
	r.eventually("counted", func() bool { return r.counters(release.Blue).Requests == 1 })
	text, kind := scrape(t, addr)
	if kind != metricsType || !strings.Contains(text, `{service="other"`) || strings.Contains(text, "silent") {
		t.Errorf("%s\n%s", kind, text)
	}
	if v := scraped(t, text)[`shipper_router_requests_total{service="orders",slot="blue",outcome="success"}`]; v != 1 {
		t.Errorf("%v requests", v)
	}
	route.Metrics, other.Metrics = "", ""
	r.put(route)
	r.put(other)
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("metrics are served though nobody wants them")
	}
}

func scrape(t *testing.T, addr string) (text, kind string) {
	t.Helper()
	res, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), res.Header.Get("Content-Type")
}

// The control channel has the metrics of all services, for who knows its token.
func TestMetricsOnTheControlChannel(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	r.put(r.route(backend(t, "blue"), "", 0))
	req, err := r.request(r.ctx, http.MethodGet, "/v1/metrics", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK || !strings.Contains(string(text), `service="orders"`) {
		t.Errorf("%s\n%s", res.Status, text)
	}
}

// Prometheus' own checker has nothing to say about form, names, types and help.
func TestPromtoolAcceptsTheMetrics(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: build/ensure promtool")
	}
	busy := rpc.SlotCounters{Requests: 3, Status5xx: 1, GRPC: []int64{1, 0, 1}, Latency: []int64{1, 1, 1}, Took: 6000}
	view := View{Route: Route{Service: `odd "name" \ of` + "\none", Stable: release.Blue}}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(string(expose([]measured{{View: view, slots: slotSums{release.Blue: busy, release.Green: busy}}})))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
