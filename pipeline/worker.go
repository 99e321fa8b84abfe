package pipeline

import (
	"context"
	"sync"

	"github.com/go-shipper/shipper/rollout"
)

// worker executes the commands of one host one after another. An undo or a
// park cancels what is under way, so that nothing can overtake it.
type worker struct {
	mu      sync.Mutex
	pending []context.CancelFunc
	queue   chan job
}

type job struct {
	ctx context.Context
	cmd rollout.Command
}

// queued is more than the engine ever has under way on one host.
const queued = 16

func newWorker() *worker { return &worker{queue: make(chan job, queued)} }

// run executes until ctx ends.
func (w *worker) run(ctx context.Context, execute func(context.Context, rollout.Command)) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-w.queue:
			execute(j.ctx, j.cmd)
		}
	}
}

func (w *worker) add(ctx context.Context, c rollout.Command) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Verb == rollout.Undo || c.Verb == rollout.Park {
		for _, cancel := range w.pending {
			cancel()
		}
		w.pending = nil
	}
	ctx, cancel := context.WithCancel(ctx)
	w.pending = append(w.pending, cancel)
	w.queue <- job{ctx, c}
}
