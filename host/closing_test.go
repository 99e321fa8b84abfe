package host

import (
	"context"
	"errors"
	"testing"

	"github.com/go-shipper/shipper/release"
)

// What is under way when a guard stops must not take an unanswered question
// for a state in which there is nothing.
func TestNothingIsGuessedWhileTheGuardStops(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	m.deploy("r2", "1.1.0")
	s, err := m.guard.service(app)
	if err != nil {
		t.Fatal(err)
	}
	m.stop()
	ctx := context.Background()
	if _, err := s.sweep(1, false); !errors.Is(err, errClosing) {
		t.Errorf("sweep: %v", err)
	}
	if err := s.converge(ctx); !errors.Is(err, errClosing) {
		t.Errorf("converge: %v", err)
	}
	m.up()
	m.serves(release.Green, "1.1.0", "orders-blue", "orders-green")
	for _, version := range []string{"1.0.0", "1.1.0"} {
		rel, _, _ := bundle(version)
		_, kept := s.kept(revision(rel).ID())
		if err := errors.Join(s.g.store.Verify(ctx, app, rel), kept); err != nil {
			t.Error(err)
		}
	}
}
