//go:build linux

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-shipper/shipper/service/log"
	"github.com/go-shipper/shipper/service/metrics"
	"github.com/go-shipper/shipper/service/trace"
)

const requestsPerRound = 300_000

// sink is a ResponseWriter that costs nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(int)             {}

// requests measures what log, trace and metrics add to a request: processor
// time of the whole process, the log's writer included, and time that passes.
func (b *bench) requests() error {
	l, err := log.Open(log.Options{Service: "orders", Version: "1.0.0", Slot: "blue", File: filepath.Join(b.dir, "requests.log")})
	if err != nil {
		return err
	}
	m := metrics.New(metrics.Options{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	with := trace.Handler(log.Requests(l.Logger(), m.Requests(mux)))
	var cpu, wall []float64
	for range b.rounds {
		bareCPU, bareWall := cost(mux, func() error { return nil })
		kitCPU, kitWall := cost(with, l.Flush)
		cpu, wall = append(cpu, kitCPU-bareCPU), append(wall, kitWall-bareWall)
	}
	if err := l.Close(); err != nil {
		return err
	}
	if s := l.Stats(); s.Dropped > 0 || s.Lines != uint64(b.rounds*requestsPerRound) {
		return fmt.Errorf("the log lost lines: %+v", s)
	}
	fmt.Println()
	row("log + trace + metrics per request, µs", "processor time", "time")
	row("", fmt.Sprintf("%.2f", median(cpu)), fmt.Sprintf("%.2f", median(wall)))
	b.results["overhead_us"] = median(cpu)
	return nil
}

// cost is what a request takes, in microseconds.
func cost(h http.Handler, after func() error) (cpu, wall float64) {
	r := httptest.NewRequest("GET", "/orders/7", nil)
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	w := &sink{http.Header{}}
	begun, used := time.Now(), processorTime()
	for range requestsPerRound {
		h.ServeHTTP(w, r)
	}
	if err := after(); err != nil {
		panic(err)
	}
	return (processorTime() - used).Seconds() * 1e6 / requestsPerRound, time.Since(begun).Seconds() * 1e6 / requestsPerRound
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
