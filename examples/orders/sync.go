package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/go-shipper/shipper/service"
	"github.com/go-shipper/shipper/service/recovery"
)

// worker looks at all orders now and then: work that may run once only. What
// it did outlives the process, if there is a folder to keep it in.
type worker struct {
	log        *slog.Logger
	store      *store
	supervisor *recovery.Supervisor
	checkpoint *recovery.Checkpoint[progress] // nil: none
	last       progress
	hang       bool // as told
}

type progress struct {
	Looks  int       `json:"looks"`
	Newest int       `json:"newest"` // orders that were seen last
	At     time.Time `json:"at"`
}

// restore finds what the process before this one did.
func (w *worker) restore() {
	if w.checkpoint == nil {
		return
	}
	p, _, err := w.checkpoint.Load()
	if err != nil {
		w.log.Warn("the count of looks begins anew", "error", err)
		return
	}
	w.last = p
}

// run is the job: one look, again if it fails. Work that hangs and does not
// end can be ended with its process only.
func (w *worker) run(ctx context.Context) error {
	err := w.supervisor.Run(ctx, w.sync)
	if errors.Is(err, recovery.ErrStuck) {
		service.From(ctx).Fail(err)
	}
	return err
}

func (w *worker) sync(ctx context.Context, beat func()) error {
	if w.hang {
		select {}
	}
	orders, err := w.store.list()
	if err != nil {
		return err
	}
	beat()
	w.last = progress{Looks: w.last.Looks + 1, Newest: len(orders), At: time.Now()}
	if w.checkpoint != nil {
		if err := w.checkpoint.Save(w.last); err != nil {
			return err
		}
	}
	w.log.InfoContext(ctx, "synced", "looks", w.last.Looks, "orders", w.last.Newest)
	return nil
}
