package router

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sort"
	"time"
)

// metricsType is the content type of the text format.
const metricsType = "text/plain; version=0.0.4; charset=utf-8"

// metricsFront is an address where Prometheus finds what services count.
type metricsFront struct {
	listener net.Listener
	server   *http.Server
}

// keepMetrics listens where routes want it, and nowhere else. An address that
// is not free is tried again. The caller holds mu.
func (r *Router) keepMetrics() {
	wanted := map[string]bool{}
	for _, s := range r.services {
		if addr := s.table.Load().route.Metrics; addr != "" && !r.closed && !r.passing {
			wanted[addr] = true
		}
	}
	for addr, m := range r.metrics {
		if !wanted[addr] {
			m.close()
			delete(r.metrics, addr)
		}
	}
	for addr := range wanted {
		if r.metrics[addr] == nil {
			r.openMetrics(addr)
		}
	}
}

func (r *Router) openMetrics(addr string) {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", addr)
	for _, s := range r.services {
		if s.table.Load().route.Metrics != addr {
			continue
		}
		if err != nil && s.metricsProblem == "" {
			r.env.Log.Error("metrics are not served", "service", s.name, "listen", addr, "err", err)
		}
		s.metricsProblem = textOf(err)
	}
	if err != nil {
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		r.scrape(w, func(v View) bool { return v.Metrics == addr })
	})
	m := &metricsFront{l, &http.Server{
		Handler: mux, ReadHeaderTimeout: readHeaderTimeout, WriteTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: r.env.errlog,
	}}
	r.metrics[addr] = m
	r.background.Go(func() {
		if err := m.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			r.env.Log.Error("metrics are lost", "listen", addr, "err", err)
		}
	})
}

func (m *metricsFront) close() {
	m.listener.Close()
	m.server.Close()
}

// endSides frees the addresses that are not handed over, for the next router.
func (r *Router) endSides() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.metrics {
		m.close()
	}
	clear(r.metrics)
	for name, f := range r.previews {
		r.endPreview(name, f)
	}
}

func (r *Router) scrape(w http.ResponseWriter, wanted func(View) bool) {
	w.Header().Set("Content-Type", metricsType)
	_, _ = w.Write(expose(r.measure(wanted))) // who scrapes may be gone
}

// measure takes down what the wanted services count, by name.
func (r *Router) measure(wanted func(View) bool) (all []measured) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.services {
		m := measured{
			View: s.view(), slots: s.totals(), dropped: s.dropped.Load(),
		}
		if wanted(m.View) {
			all = append(all, m)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Service < all[j].Service }) // slices would compile a sort of its own
	return all
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
