package pipeline

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/transport"
)

// A run that ends before its lease has to be renewed has one connection; a
// longer one renews over a second.
func TestConnectionsOfARun(t *testing.T) {
	for _, c := range []struct {
		lease time.Duration
		want  int64
	}{{time.Hour, 1}, {5 * time.Second, 2}} {
		b := newBed(t)
		b.target.Rollback.Lease = c.lease
		p := b.pipeline()
		var dials atomic.Int64
		enough := make(chan struct{})
		dial := p.Dial
		p.Dial = func(ctx context.Context, h config.Host) (transport.Conn, error) {
			if dials.Add(1) == c.want {
				close(enough)
			}
			return dial(ctx, h)
		}
		p.Emit = func(r journal.Record) {
			if b.emit(r); r.Type == journal.TypeCommitted {
				<-enough
			}
		}
		res, err := p.Deploy(t.Context(), DeployRequest{Bundle: b.bundle("1.0.0")})
		b.want(res, err, rollout.Promoted, 0)
		if n := dials.Load(); n < c.want || n > 1 && c.want == 1 {
			t.Errorf("lease of %s: %d connections, want %d", c.lease, n, c.want)
		}
	}
}
