//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/go-shipper/shipper/config"
)

// likeFlagger judges as Flagger documents it: once a minute Prometheus is
// asked whether at least 99 % of the last minute's requests to the canary
// succeeded. The first miss ends it, which is the least that Flagger's
// threshold can be; its guides have 5 and 10.
func likeFlagger(ctx context.Context, f *fleet, t *config.Target) (func(), error) {
	address, stop, err := startPrometheus(ctx, f)
	if err != nil {
		return nil, err
	}
	const requests = `sum(rate(shipper_router_requests_total{slot="{{.Slot}}"%s}[1m]))`
	t.Analysis.Signals = []config.Signal{{
		Name: "request-success-rate", Success: ">= 99", Interval: time.Minute,
		Prometheus: &config.Prometheus{
			URL: address, Timeout: 10 * time.Second,
			Query: fmt.Sprintf("100 * "+requests+" / "+requests, `,outcome!~"server_error|connect_failure|timeout|aborted"`, ""),
		},
	}}
	return stop, nil
}

// startPrometheus scrapes the routers of a fleet every five seconds, as
// Flagger's own installation of Prometheus does.
func startPrometheus(ctx context.Context, f *fleet) (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	listen := l.Addr().String()
	l.Close()
	dir, err := os.MkdirTemp(f.dir, "prometheus")
	if err != nil {
		return "", nil, err
	}
	text := "global: {scrape_interval: 5s}\nscrape_configs: [{job_name: shipper, static_configs: [{targets: ["
	for _, h := range f.target.Hosts {
		text += fmt.Sprintf("%q,", fmt.Sprintf("%s:%d", h.Address, metricsPort))
	}
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(text+"]}]}]\n"), 0o600); err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, "prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+listen, "--log.level=error")
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // it ends by a signal
	}
	address = "http://" + listen
	if err := untilReady(ctx, address+"/-/ready"); err != nil {
		stop()
		return "", nil, err
	}
	return address, stop, nil
}

func untilReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		res, err := http.Get(url)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("prometheus is not ready: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
