package pipeline

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/transport"
)

// A run that ends before its lease has to be renewed has one connection; a
// longer one renews over a second.
func TestConnectionsOfARun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		lease time.Duration
		want  int64
	}{{time.Hour, 1}, {20 * time.Second, 2}} {
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

// A password that is rotated in the middle of a run pauses it; with the new one
// in time `resume` goes on.
func TestRotatedPasswordPauses(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.target.Rollback.Lease = 24 * time.Second
	b.target.Analysis.Signals = nil
	b.steps(config.Step{SetWeight: weight(5)}, config.Step{Pause: pauseFor(time.Hour)}, config.Step{SetWeight: weight(10)})
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.forget()
	var rotated atomic.Bool
	p := b.at(journal.TypeWeight, func() {
		rotated.Store(true)
		b.machines["web1"].blink()
	})
	dial := p.Dial
	p.Dial = func(ctx context.Context, h config.Host) (transport.Conn, error) {
		if rotated.Load() {
			return nil, &transport.Error{Kind: transport.Denied, Host: h.Name, Phase: "authenticate", Err: errors.New("the host refused the credentials")}
		}
		return dial(ctx, h)
	}
	path := b.bundle("1.1.0")
	run := b.begin(func() (Result, error) { return p.Deploy(t.Context(), DeployRequest{Bundle: path}) })
	run.until(journal.TypeRequest)
	rotated.Store(false)
	if _, err := b.pipeline().Ask(t.Context(), rollout.AskResume); err != nil {
		t.Fatal(err)
	}
	run.untilCount(journal.TypeRequest, 2)
	if _, err := b.pipeline().Ask(t.Context(), rollout.AskPromote); err != nil { // the step itself
		t.Fatal(err)
	}
	e := run.end()
	b.want(e.res, e.err, rollout.Promoted, 0)
	if s := b.story(); strings.Count(s, " "+journal.TypeRequest+" ") != 3 || !strings.Contains(s, " "+journal.TypePaused+" ") || !strings.Contains(s, "web1, which refuses the credentials") {
		t.Errorf("the story:\n%s", s)
	}
}

// A controller that was away for longer than its lease says so, and takes
// nothing for its own work that the hosts did without it.
func TestLeaseRanOutUnheard(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.second()
	b.target.Rollback.Lease = 20 * time.Second // renewed every 3.3 s
	b.steps(config.Step{SetWeight: weight(50)}, config.Step{Pause: forever()})
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.forget()
	bundle := b.bundle("1.1.0")
	again := make(chan ending, 1)
	go func() {
		res, err := b.pipeline().Deploy(t.Context(), DeployRequest{Bundle: bundle})
		again <- ending{res, err}
	}()
	b.until(journal.TypePaused)
	for _, m := range b.machines {
		m.clock.ahead.Store(int64(2 * time.Hour))
	}
	e := <-again
	b.want(e.res, e.err, rollout.Lost, problem.Failed)
	if told := b.story(); strings.Contains(told, `"by":"controller"`) {
		t.Errorf("the controller claims to have taken the hosts back:\n%s", told)
	}
}

func pauseFor(d time.Duration) *time.Duration { return &d }
