package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/problem"
)

const followEvery = time.Second

// LogsRequest says which lines are wanted.
type LogsRequest struct {
	Host   string // empty: all
	Lines  int
	Follow bool
	Failed bool   // of what is kept of a release that failed
	Run    string // in this run; empty: the latest
}

// Logs writes the end of the stable slots' logs, each line behind its host's
// name when there are several; with follow until ctx ends.
func (p *Pipeline) Logs(ctx context.Context, w io.Writer, req LogsRequest) error {
	f := p.fleet()
	if req.Host != "" {
		h := f.byName(req.Host)
		if h == nil {
			return problem.New(problem.Usage, "hosts are: "+strings.Join(f.names(), ", "), "host %q is not in environment %s", req.Host, p.Target.Environment)
		}
		f = fleet{h}
	}
	defer f.close()
	if err := f.connect(ctx, false); err != nil {
		return err
	}
	var mu sync.Mutex
	err := f.all(ctx, func(ctx context.Context, h *host) error {
		prefix := ""
		if len(f) > 1 {
			prefix = h.Name + " | "
		}
		return h.tail(ctx, req, func(text string) error {
			mu.Lock()
			defer mu.Unlock()
			for line := range strings.Lines(text) {
				if _, err := fmt.Fprint(w, prefix, strings.TrimRight(line, "\r\n"), "\n"); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if ctx.Err() != nil && req.Follow {
		return nil
	}
	return remoteProblem(err, "read logs")
}

func (h *host) tail(ctx context.Context, want LogsRequest, write func(string) error) error {
	req := rpc.Logs{Service: h.p.Target.Service.Name, Lines: want.Lines, Failed: want.Failed, Run: want.Run}
	for {
		var got rpc.LogsReply
		err := h.call(ctx, 0, func(c *rpc.Client) (err error) {
			got, err = c.Logs(ctx, req)
			return err
		})
		if err := errors.Join(err, write(got.Text)); err != nil || !want.Follow {
			return err
		}
		req = rpc.Logs{Service: req.Service, Slot: got.Slot, Offset: got.Offset}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(followEvery):
		}
	}
}
