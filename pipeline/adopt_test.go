package pipeline

import (
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/lab/ports"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// TestExistingServiceMovesBehindTheRouter: as docs/ROUTER.md tells it, and
// what happens if the old program is not stopped in time.
func TestExistingServiceMovesBehindTheRouter(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.steps(config.Step{SetWeight: weight(100)}, config.Step{Pause: forever()})
	old, err := net.Listen("tcp", ports.Address(t)) // no port that somebody else gets once it is free
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	public := old.Addr().String()
	res, err := b.deploy(t.Context(), "1.0.0", nil) // beside it, on another port
	b.want(res, err, rollout.Promoted, 0)
	b.target.Traffic.Listen = public
	p := b.pipeline()
	planned, err := p.Plan(t.Context(), DeployRequest{Bundle: b.bundle("1.0.0")})
	hosts := planned.Travel
	if got := hosts["web1"]; err != nil || got.Owner == "" || fmt.Sprintf("127.0.0.1:%d", got.Port) != public {
		t.Errorf("plan does not tell who has the port: %+v, %v", got, err)
	}
	res, err = b.moves(func() {})
	b.want(res, err, rollout.RolledBack, problem.RolledBack)
	res, err = b.moves(func() { old.Close() })
	b.want(res, err, rollout.Promoted, 0)
	answer, err := http.Get("http://" + public + "/orders")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("status %d", answer.StatusCode)
	}
}

// moves deploys the same release to the new address and promotes it after
// stop.
func (b *bed) moves(stop func()) (Result, error) {
	b.t.Helper()
	b.forget()
	run := b.begin(func() (Result, error) { return b.deploy(b.t.Context(), "1.0.0", nil) })
	run.until(journal.TypePaused)
	stop()
	other := b.pipeline()
	other.Emit = nil
	if _, err := other.Ask(b.t.Context(), "promote"); err != nil {
		b.t.Error(err)
	}
	e := run.end()
	return e.res, e.err
}
