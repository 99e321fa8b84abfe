// Package metrics gives a service's numbers to Prometheus: the process, the Go
// runtime, health, requests, the log, the machine, and what the service counts
// itself. docs/SERVICE-KIT.md lists them.
package metrics

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/go-shipper/shipper/service/log"
	"github.com/go-shipper/shipper/service/resource"
)

// Options of Metrics.
type Options struct {
	// Labels of service_info, empty ones too.
	Service, Version, Slot string
	// Buckets of http_request_duration_seconds, in seconds; nil is 1 ms to 10 s
	// in 13 steps.
	Buckets []float64
}

// Metrics are a service's. Safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	series   sync.Map // of exchange
}

var defaultBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// New has metrics of the process, the Go runtime and the machine already.
func New(o Options) *Metrics {
	if o.Buckets == nil {
		o.Buckets = defaultBuckets
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests that were answered."}, []string{"route", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Help: "Time until a request was answered.", Buckets: o.Buckets}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_requests_in_flight", Help: "Requests that are being answered."}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "service_info", Help: "Which release runs, in its labels; always 1.",
		ConstLabels: prometheus.Labels{"service": o.Service, "version": o.Version, "slot": o.Slot}})
	info.Set(1)
	m.registry.MustRegister(m.requests, m.duration, m.inFlight, info, &machine{},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Registry takes what the service counts itself, and panics if a name is taken.
func (m *Metrics) Registry() prometheus.Registerer { return m.registry }

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// Health adds a check: service_healthy is 1 while check returns nil, else 0. It is
// called at each scrape, with the scrape's patience, and returns soon.
func (m *Metrics) Health(name string, check func(context.Context) error) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "service_healthy", Help: "1 while the check is well, 0 while it fails.",
		ConstLabels: prometheus.Labels{"check": name}}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
		defer cancel()
		if check(ctx) != nil {
			return 0
		}
		return 1
	}))
}

// State adds service_state: 1 for the state that now returns, as
// service.State has it, 0 for the others that are known.
func (m *Metrics) State(now func() string, known ...string) {
	for _, state := range known {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "service_state", Help: "1 for the state that the service is in.",
			ConstLabels: prometheus.Labels{"state": state}}, func() float64 {
			if now() == state {
				return 1
			}
			return 0
		}))
	}
}

// Log adds what became of the lines of a log.
func (m *Metrics) Log(l *log.Log) {
	for name, of := range map[string]struct {
		help string
		get  func(log.Stats) uint64
	}{
		"service_log_lines_total":        {"Lines that were written.", func(s log.Stats) uint64 { return s.Lines }},
		"service_log_dropped_total":      {"Lines that the full buffer had no room for.", func(s log.Stats) uint64 { return s.Dropped }},
		"service_log_write_errors_total": {"Writes that failed.", func(s log.Stats) uint64 { return s.Failed }},
		"service_log_waits_total":        {"Callers that waited for room in the buffer.", func(s log.Stats) uint64 { return s.Waits }},
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: of.help},
			func() float64 { return float64(of.get(l.Stats())) }))
	}
}

// machine samples the machine at each scrape. Where the system does not tell,
// its metrics are missing.
type machine struct{ cpu resource.CPU }

var (
	cpuDesc    = prometheus.NewDesc("machine_cpu_busy_ratio", "Share of all processors that was used since the last scrape, 0 to 1.", nil, nil)
	memoryDesc = prometheus.NewDesc("machine_memory_bytes", "Memory of the machine, or of its container where that has less.", []string{"kind"}, nil)
)

// Describe names them.
func (*machine) Describe(to chan<- *prometheus.Desc) {
	to <- cpuDesc
	to <- memoryDesc
}

// Collect samples.
func (m *machine) Collect(to chan<- prometheus.Metric) {
	if busy, err := m.cpu.Busy(); err == nil || errors.Is(err, resource.ErrEarly) {
		to <- prometheus.MustNewConstMetric(cpuDesc, prometheus.GaugeValue, busy/100)
	}
	if memory, err := resource.ReadMemory(); err == nil {
		to <- prometheus.MustNewConstMetric(memoryDesc, prometheus.GaugeValue, float64(memory.Total), "total")
		to <- prometheus.MustNewConstMetric(memoryDesc, prometheus.GaugeValue, float64(memory.Used), "used")
	}
}
