package host

import (
	"testing"

	"github.com/go-shipper/shipper/host/rpc"
)

// Whoever stands between the guard and its files decides what counts: a write
// that was refused leaves the state as it was, for the guard and on the disk.
func TestARefusedWriteChangesNothing(t *testing.T) {
	t.Parallel()
	m, r := underway(t)
	s, err := m.guard.service(app)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(string, func() error) error { return errPower }
	s.tell(func() { s.stateFile.write = refuse })
	if _, err := m.c.SetTraffic(t.Context(), rpc.SetTraffic{Fenced: r.f, Weight: 500}); err == nil {
		t.Error("a weight that is not on the disk was set")
	}
	if _, w := m.proxy.weight(app); w != 0 {
		t.Errorf("the router gives the canary %v", w)
	}
	s.tell(func() { s.stateFile.write = nil })
	r.weight(500)
}
