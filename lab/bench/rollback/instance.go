//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
)

const (
	failVariable  = "BENCH_FAIL"
	versionHeader = "X-Version"
)

// serveInstance is the service that is released: it fails each request by
// chance, as its environment says, and is always healthy.
func serveInstance(ctx context.Context) error {
	ratio, err := strconv.ParseFloat(os.Getenv(failVariable), 64)
	if err != nil {
		return fmt.Errorf("%s: %w", failVariable, err)
	}
	l, err := net.Listen("tcp", os.Getenv("SHIPPER_LISTEN"))
	if err != nil {
		return err
	}
	version := os.Getenv("SHIPPER_VERSION")
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(versionHeader, version)
		if rand.Float64() < ratio {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	s := &http.Server{Handler: mux}
	context.AfterFunc(ctx, func() { _ = s.Shutdown(context.WithoutCancel(ctx)) })
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
