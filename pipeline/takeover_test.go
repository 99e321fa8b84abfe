package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/transport"
)

// doomed is the way to a host of a controller that is killed: from then on
// nothing of it comes through.
type doomed struct {
	*machine
	mu    sync.Mutex
	dead  bool
	lines []transport.Pipe
}

func (d *doomed) Pipe(ctx context.Context, line string) (transport.Pipe, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, &transport.Error{Kind: transport.Unreachable, Host: d.name, Phase: "dial", Err: errors.New("killed")}
	}
	p, err := d.machine.Pipe(ctx, line)
	if err == nil {
		d.lines = append(d.lines, p)
	}
	return p, err
}

func (d *doomed) kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	for _, p := range d.lines {
		p.Close()
	}
}

// TestAnotherMachineTakesOver: what a killed controller began is told, tried
// again, promoted and taken back by others, who know nothing but the hosts.
func TestAnotherMachineTakesOver(t *testing.T) {
	b := newBed(t)
	b.target.Rollback.Lease = 5 * time.Second
	b.steps(config.Step{SetWeight: weight(50)}, config.Step{Pause: forever()})
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.forget()

	way := &doomed{machine: b.machines["web1"]}
	first := b.pipeline()
	first.Dial = func(context.Context, config.Host) (transport.Conn, error) { return way, nil }
	bundle := b.bundle("1.1.0")
	killed := b.begin(func() (Result, error) { return first.Deploy(t.Context(), DeployRequest{Bundle: bundle}) })
	killed.until(journal.TypePaused)
	way.kill()

	var st FleetStatus
	for deadline := time.Now().Add(time.Minute); st.State != rollout.Lost; {
		if st, err = b.pipeline().Status(t.Context()); err != nil || time.Now().After(deadline) {
			t.Fatalf("state %s, %v", st.State, err)
		}
	}
	b.stable("1.0.0")
	records, err := b.pipeline().Story(t.Context(), Latest)
	if err != nil || records[0].Run != st.Run || !slices.ContainsFunc(records, func(r journal.Record) bool {
		return r.Type == journal.TypeUndone && strings.Contains(string(r.Data), `"by":"guard"`)
	}) {
		t.Errorf("the story of the lost run %s: %v, %v", st.Run, records, err)
	}

	b.forget()
	again := b.begin(func() (Result, error) { return b.pipeline().Retry(t.Context(), st.Run, DeployRequest{}) })
	again.until(journal.TypePaused)
	if _, err := b.pipeline().Ask(t.Context(), "promote-full"); err != nil {
		t.Fatal(err)
	}
	e := again.end()
	b.want(e.res, e.err, rollout.Promoted, 0)
	b.stable("1.1.0")
	res, err = b.pipeline().Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.RolledBack, 0)
	b.stable("1.0.0")
}

// What a run is about stands on the hosts before it changes anything there:
// a controller may be killed at its first act.
func TestRunIsKnownBeforeItActs(t *testing.T) {
	b := newBed(t)
	b.steps()
	p := b.at(journal.TypePush, func() {
		records, err := b.pipeline().Story(t.Context(), Latest)
		if err != nil || !slices.ContainsFunc(records, func(r journal.Record) bool { return r.Type == journal.TypeRunStarted }) {
			t.Errorf("the hosts know %v, %v", records, err)
		}
	})
	res, err := p.Deploy(t.Context(), DeployRequest{Bundle: b.bundle("1.0.0")})
	b.want(res, err, rollout.Promoted, 0)
}
