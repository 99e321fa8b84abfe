package pipeline

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/lab/ports"
	"github.com/go-shipper/shipper/lab/promtest"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// scraped starts a real Prometheus that scrapes the router of the bed.
func (b *bed) scraped() (address string) {
	b.t.Helper()
	b.target.Traffic.Metrics = fmt.Sprintf("127.0.0.1:%d", ports.Free(b.t))
	return promtest.Start(b.t, b.target.Traffic.Metrics, 200*time.Millisecond)
}

// A release that Prometheus finds bad goes back, and says by which numbers;
// until Prometheus is up there are errors, and none of them is a success.
func TestPrometheusTakesBack(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	unlimited := 1 << 20
	b.target.Analysis.OnInsufficientData, b.target.Analysis.MaxWait = "extend", time.Minute
	b.target.Analysis.Signals = []config.Signal{{
		Name: "success-rate", Success: ">= 99", Interval: 200 * time.Millisecond, ConsecutiveErrorLimit: &unlimited,
		Prometheus: &config.Prometheus{URL: b.scraped(), Timeout: 10 * time.Second, Query: `100 * sum(increase(` +
			`shipper_router_requests_total{service="{{.Service}}",slot="{{.Slot}}",outcome="success"}[1m])) / ` +
			`(sum(increase(shipper_router_requests_total{service="{{.Service}}",slot="{{.Slot}}"}[1m])) > 20)`},
	}}
	b.load()
	if res, err := b.deploy(t.Context(), "1.0.0", nil); res.State != rollout.Promoted {
		t.Fatalf("first: %s, %v", res.State, err)
	}
	b.forget()
	res, err := b.deploy(t.Context(), "1.1.0", map[string]string{"ORDERS_FAIL_RATIO": "0.3"})
	b.want(res, err, rollout.RolledBack, problem.RolledBack)
	if err == nil || !strings.Contains(err.Error(), "success-rate ") || !strings.Contains(err.Error(), ", wanted >= 99") {
		t.Errorf("it explains itself by %v", err)
	}
	b.stable("1.0.0")
	for _, outcome := range b.outcomes("success-rate") {
		if outcome == "Successful" {
			t.Error("a canary that fails 30 % was once found good")
		}
	}
}

// outcomes lists how the measurements of a signal came out.
func (b *bed) outcomes(signal string) (out []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.records {
		var m journal.Measurement
		if r.Type == journal.TypeMeasurement && decode(r, &m) == nil && m.Signal == signal {
			out = append(out, m.Outcome)
		}
	}
	return out
}

// With every provider down nothing is promoted by its silence, and a person
// takes the release back all the same.
func TestProvidersDown(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	none := 0
	b.target.Analysis.OnInsufficientData = "pause"
	b.target.Analysis.Signals = []config.Signal{
		{Name: "web", Success: "== ok", Interval: 100 * time.Millisecond, ConsecutiveErrorLimit: &none,
			Web: &config.WebQuestion{URL: gone.URL, JSON: "state", Timeout: 10 * time.Second}},
		{Name: "exec", Success: "== 0", Interval: 100 * time.Millisecond, ConsecutiveErrorLimit: &none,
			Exec: &config.Program{Command: []string{filepath.Join(t.TempDir(), "none")}, Timeout: 10 * time.Second}},
	}
	b.load()
	if res, err := b.deploy(t.Context(), "1.0.0", nil); res.State != rollout.Promoted {
		t.Fatalf("first: %s, %v", res.State, err)
	}
	b.forget()
	run := b.begin(func() (Result, error) { return b.deploy(t.Context(), "1.1.0", nil) })
	run.until(journal.TypePaused)
	if _, err := b.pipeline().Ask(t.Context(), "abort"); err != nil {
		t.Fatal(err)
	}
	if e := run.end(); problem.KindOf(e.err) != problem.Aborted {
		t.Errorf("ended by %v", e.err)
	}
	b.stable("1.0.0")
	for _, signal := range []string{"web", "exec"} {
		for _, outcome := range b.outcomes(signal) {
			if outcome != "Error" {
				t.Errorf("%s: %s", signal, outcome)
			}
		}
	}
}

// A secret that is missing is told before any host is touched.
func TestMissingSecretOfASource(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.target.Analysis.Signals = []config.Signal{{Name: "p", Success: "> 1", Interval: time.Second,
		Prometheus: &config.Prometheus{URL: "http://127.0.0.1:1", Query: "up", Token: "${env:SHIPPER_TEST_NO_SUCH_TOKEN}"}}}
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Failed, problem.Usage)
	if !strings.Contains(err.Error(), "SHIPPER_TEST_NO_SUCH_TOKEN") {
		t.Error(err)
	}
}
