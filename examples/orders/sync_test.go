package main

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/go-shipper/shipper/service/recovery"
)

// The worker goes on where the process before it was.
func TestWorkerKeepsItsPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sync")
	for run := 1; run <= 3; run++ {
		s, err := openStore("", prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		w := &worker{log: slog.New(slog.DiscardHandler), store: s, checkpoint: recovery.NewCheckpoint[progress](path, 1, nil)}
		w.restore()
		if err := w.sync(t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		if p, found, err := w.checkpoint.Load(); err != nil || !found || p.Looks != run {
			t.Errorf("after run %d: %+v, %v, %v", run, p, found, err)
		}
	}
}
