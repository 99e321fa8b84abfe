package host

import (
	"context"
	"testing"

	"github.com/go-shipper/shipper/host/scm"
)

// The work of a caller that left goes on, and what it will reply belongs to it
// alone; the race detector is the judge.
func TestTheWorkOfACallerThatLeftIsItsOwn(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	r := m.acquire("r2", "deploy")
	params := r.startParams(r.push("1.1.0"))
	block := make(chan struct{})
	m.scm.edit(func() { m.scm.blocking = block })
	s, err := m.guard.service(app)
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := s.start(ctx, params)
		left <- err
	}()
	m.eventually("the slot is being changed", func() bool { return m.status().Run.Phase == phaseStarting })
	leave()
	if err := <-left; err == nil {
		t.Error("a start that waits has a result")
	}
	close(block)
	m.eventually("the slot runs", func() bool {
		st, err := m.scm.Status(t.Context(), green)
		return err == nil && st.State == scm.Running
	})
	m.settled()
}
