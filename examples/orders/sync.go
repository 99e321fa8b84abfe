package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/go-shipper/shipper/service/recovery"
)

// worker looks at all orders now and then: work that may run once only. What
// it did outlives the process.
type worker struct {
	log        *slog.Logger
	store      *store
	checkpoint *recovery.Checkpoint[progress]
}

type progress struct {
	Looks  int       `json:"looks"`
	Newest int       `json:"newest"` // orders that were seen last
	At     time.Time `json:"at"`
}

func (w *worker) sync(ctx context.Context, beat func()) error {
	p, _, err := w.checkpoint.Load()
	if err != nil {
		w.log.WarnContext(ctx, "the count of looks begins anew", "error", err)
		p = progress{}
	}
	orders, err := w.store.list()
	if err != nil {
		return err
	}
	beat()
	p = progress{Looks: p.Looks + 1, Newest: len(orders), At: time.Now()}
	w.log.InfoContext(ctx, "synced", "looks", p.Looks, "orders", p.Newest)
	return w.checkpoint.Save(p)
}
